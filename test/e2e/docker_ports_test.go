// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestDockerContainersReachNoPorts: a real container sends a datagram to
// another host's data port. The packet inside could have been sent by its
// host's lease. Only a root container with the host's network gets through.
func TestDockerContainersReachNoPorts(t *testing.T) {
	t.Parallel()
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			_, h1, h2 := duo(t)
			protects(t, h1, h2)
			d := h1.StartDocker(release)
			d.Docker("network", "create", "other")
			target := h2.Pod()
			sender := h1.Lease().Addr().Next().Next()
			for _, c := range []struct {
				options string
				allowed bool
			}{
				{"", false},
				{"--cap-add NET_ADMIN --cap-add NET_RAW", false},
				{"--network other", false},
				{"--network other --cap-add NET_ADMIN", false},
				{"--publish 9285:8285/udp", false},
				{"--network host --user 65534", false},
				{"--network host --user 65534 --cap-add NET_RAW", false},
				{"--network host", true},
			} {
				sink := listenUDP(t, target.Namespace, at(target.Addr, 4242))
				inner := lab.UDPPacket(at(sender, 1), at(target.Addr, 4242), []byte(c.options))
				// The image has busybox alone, so the host lends its programs.
				script := fmt.Sprintf("for i in 1 2 3; do echo %s | base64 -d >/dev/udp/%s/8285 || true; done",
					base64.StdEncoding.EncodeToString(inner), h2.Addr)
				args := []string{"run", "--rm", "-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro"}
				args = append(args, strings.Fields(c.options)...)
				d.Docker(append(args, "--env", "PATH=/usr/bin", "lab", "/usr/bin/bash", "-c", script)...)
				if got := received(t, sink, 500*time.Millisecond); got != c.allowed {
					t.Errorf("docker run %s: came through %t, want %t\n%s", c.options, got, c.allowed, portTable(t, h1))
				}
			}
		})
	}
}
