// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"testing"

	"flanneld/test/lab"
)

// Ping tries the paths to a node by hand. Its exit status is for scripts.
func TestPingTriesThePathsToANode(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t, "--shortcut", "off")
	for _, node := range []string{h2.NodeName, h2.Lease().Addr().Next().String()} {
		r := h1.Flanneld("ping", node)
		if r.Status != 0 {
			t.Errorf("ping %s: exit status %d: %s", node, r.Status, r.Stderr)
		}
		mentions(t, "ping", r.Stdout, h2.NodeName, "udp", "yes", "0 of 3", "1472 of 1472")
	}
	var pinged struct {
		Paths []struct {
			Path     string  `json:"path"`
			Used     bool    `json:"used"`
			Sent     int     `json:"sent"`
			Received int     `json:"received"`
			Average  float64 `json:"rtt_avg_seconds"`
			Largest  int     `json:"largest"`
		} `json:"paths"`
	}
	r := h1.Flanneld("ping", h2.NodeName, "--path", "udp", "--count", "5", "--size", "1000", "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &pinged); err != nil || len(pinged.Paths) != 1 {
		t.Fatalf("%v in %s", err, r.Stdout)
	}
	if p := pinged.Paths[0]; p.Path != "udp" || !p.Used || p.Sent != 5 || p.Received != 5 || p.Average <= 0 || p.Largest != 1472 {
		t.Errorf("%+v", p)
	}
	l.Block(lab.Between([]*lab.Host{h1}, []*lab.Host{h2})...)
	if r := h1.Flanneld("ping", h2.NodeName, "--count", "2"); r.Status != 1 {
		t.Errorf("ping of a node that is cut off: exit status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	} else {
		mentions(t, "ping", r.Stdout, "2 of 2")
	}
	l.Mend()
	for want, args := range map[string][]string{
		"this node": {h1.NodeName}, "no node is called": {"stranger"}, "no path to": {h2.NodeName, "--path", "vxlan"},
	} {
		r := h1.Flanneld(append([]string{"ping"}, args...)...)
		if r.Status != 1 {
			t.Errorf("ping %v: exit status %d", args, r.Status)
		}
		clearError(t, r.Stderr, want)
	}
}
