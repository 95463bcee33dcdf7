// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// An event, as a script sees `flanneld events -o json`.
type happened struct {
	Seq     uint64                `json:"seq"`
	Time    time.Time             `json:"time"`
	Kind    string                `json:"kind"`
	What    string                `json:"what"`
	Node    struct{ Name string } `json:"node"`
	Path    string                `json:"path"`
	Subject string                `json:"subject"`
	Text    string                `json:"text"`
	Why     string                `json:"why"`
	Count   int                   `json:"count"`
}

func eventsOf(h *lab.Host, args ...string) (all []happened, err error) {
	r := h.Flanneld(append([]string{"events", "-o", "json"}, args...)...)
	var out struct {
		Events []happened `json:"events"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, r.Stdout, r.Stderr)
	}
	return out.Events, nil
}

// tellsEvent waits for an event of a kind that mentions the words, and returns
// it.
func tellsEvent(t *testing.T, h *lab.Host, kind, what string, words ...string) (found happened) {
	t.Helper()
	lab.Eventually(t, 20*time.Second, fmt.Sprintf("an event %s %s with %q", kind, what, words), func() error {
		all, err := eventsOf(h, "--kind", kind)
		if err != nil {
			return err
		}
		for _, found = range all {
			text := fmt.Sprintf("%+v", found)
			missing := found.What != what
			for _, w := range words {
				missing = missing || !strings.Contains(text, w)
			}
			if !missing {
				return nil
			}
		}
		return fmt.Errorf("there are %+v", all)
	})
	return found
}

// What happens is told with its reason, and outlives the daemon.
func TestEventsTellWhatHappenedAndWhy(t *testing.T) {
	t.Parallel()
	l, p1, p2 := joined(t, "vxlan,udp")
	h1, h2 := p1.Host, p2.Host
	tellsEvent(t, h1, "daemon", "started")
	tellsEvent(t, h1, "lease", "confirmed", h1.Lease().String())
	tellsEvent(t, h1, "member", "up", h2.NodeName)
	tellsEvent(t, h1, "lease", "held", h2.NodeName, h2.Lease().String())

	h1.Exec(t, "iptables", "-F", "FORWARD")
	tellsEvent(t, h1, "repair", "restored", "firewall", "iptables")

	l.Drop("udp dport 8472")
	tellsEvent(t, h1, "path", "changed", h2.NodeName, "by udp, no longer by vxlan", "not vxlan (")
	l.Mend()

	p1.Ping(t, lab.Echo{To: lab.Overlay.Addr().Next()}) // a subnet that no node holds
	tellsEvent(t, h1, "drops", "began", "egress-no-route", "no node holds the subnet")

	h2.Daemon.Kill()
	dead := tellsEvent(t, h1, "member", "dead", h2.NodeName)
	h1.Daemon.Stop()
	r := h1.Flanneld("events")
	mentions(t, "events of a stopped daemon", r.Stdout+r.Stderr, "no daemon runs", "flanneld is stopped (it was asked to)")
	h1.Start("--backend", "vxlan,udp").WaitReady(ready)
	after, err := eventsOf(h1)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[uint64]happened{}
	for _, e := range after {
		kept[e.Seq] = e
	}
	if kept[dead.Seq] != dead {
		t.Errorf("after a restart %+v is %+v", dead, kept[dead.Seq])
	}
	if last := after[len(after)-1]; last.Seq <= dead.Seq {
		t.Errorf("nothing was added: %+v", last)
	}
}

// The short-cut to a peer begins, ends and begins again, on the host where it
// is switched and on the peer, each with its reason.
func TestEventsTellOfTheShortcut(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t, "--shortcut", "auto")
	both := [][2]*lab.Host{{h1, h2}, {h2, h1}}
	for _, pair := range both {
		tellsEvent(t, pair[0], "short-cut", "ready", "its programs are in the kernel")
		tellsEvent(t, pair[0], "short-cut", "used", pair[1].NodeName, "udp", "probes have passed it both ways")
	}

	h1.MustFlanneld("shortcut", "off")
	gone := tellsEvent(t, h1, "short-cut", "gone", "off (flanneld shortcut off)")
	left := tellsEvent(t, h1, "short-cut", "left", h2.NodeName, "take user space", "off (flanneld shortcut off)")
	if left.Why != gone.Why {
		t.Errorf("%+v has another reason than %+v", left, gone)
	}
	tellsEvent(t, h2, "short-cut", "left", h1.NodeName, "the node does not take it")

	h1.MustFlanneld("shortcut", "auto")
	for _, pair := range both {
		again := tellsEvent(t, pair[0], "short-cut", "used", pair[1].NodeName, "Count:2")
		if again.Seq < left.Seq {
			t.Errorf("%s: %+v is older than the switch", pair[0].NodeName, again)
		}
	}
}
