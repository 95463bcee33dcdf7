// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"os/exec"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// The kernel carries packets between containers without a daemon.
func TestCarriesPackets(t *testing.T) {
	hosts := twoHosts(t)
	t.Log(linktest.Try("ip netns exec c1 ping -c 3 -i 0.1 -W 1 10.244.2.2"))
	server := exec.Command("ip", "netns", "exec", "c2", "iperf3", "-s")
	server.Start()
	time.Sleep(500*time.Millisecond)
	t.Log(linktest.Try("ip netns exec c1 iperf3 -c 10.244.2.2 -t 3"))
	t.Log(linktest.Try("ip netns exec c1 iperf3 -c 10.244.2.2 -t 3 -R"))
	t.Log(linktest.Try("ip netns exec c1 iperf3 -c 10.244.2.2 -t 1 -u -b 0 -l 36"))
	server.Process.Kill()
	server.Wait()
	for _, h := range hosts {
		c := h.part.Counters()
		t.Logf("%s: %+v %+v", h.name, c.Sent, c.Received)
		for _, l := range c.Left {
			if l.Packets > 0 {
				t.Logf("%+v", l)
			}
		}
	}
}
