// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// netemVariable says "required" where a kernel without netem is a failure: on
// kernels that are known to have it.
const netemVariable = "FLANNELD_LAB_NETEM"

// ipipVariable says the same of IP in IP.
const ipipVariable = "FLANNELD_LAB_IPIP"

// Weather is what the underlay does to the frames of a host, in each direction.
// Percentages are of frames, from 0 to 100.
type Weather struct {
	Delay, Jitter time.Duration // of each frame; at most half a second
	Loss          float64       // percent that get lost
	Duplicate     float64       // percent that come twice
	Reorder       float64       // percent that overtake others; needs a Delay
}

// HasNetem asks the kernel whether it has the queueing discipline that makes
// weather. Where the environment requires it, its absence fails the test.
func (l *Lab) HasNetem() bool {
	l.t.Helper()
	probe := NewNamespace(l.t, l.name("netem"))
	r := probe.Run(l.t, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "10")
	if r.Status != 0 && os.Getenv(netemVariable) == "required" {
		l.t.Fatalf("the kernel has no netem: %s", r.Stderr)
	}
	return r.Status == 0
}

// HasIPIP asks the kernel whether it has IP in IP (RFC 2003). Where the
// environment requires it, its absence fails the test. (The module makes a
// device without addresses, tunl0, in each namespace: one more cannot be made.)
func (l *Lab) HasIPIP() bool {
	l.t.Helper()
	r := NewNamespace(l.t, l.name("ipip")).Run(l.t, "ip", "link", "add", "try", "type", "ipip", "local", "192.0.2.1")
	if r.Status != 0 && os.Getenv(ipipVariable) == "required" {
		l.t.Fatalf("the kernel has no ipip: %s", r.Stderr)
	}
	return r.Status == 0
}

// Weather gives the host's wire this weather, in both directions. It needs
// [Lab.HasNetem]. Trains and superpackets are cut before they enter the wire.
func (l *Lab) Weather(h *Host, w Weather) {
	l.t.Helper()
	for _, end := range []struct {
		at     *Namespace
		device string
	}{{h.Namespace, "eth0"}, {l.Switch, h.port()}} {
		end.at.Exec(l.t, "ip", "link", "set", end.device, "gso_max_segs", "1")
		end.at.Exec(l.t, "tc", append([]string{"qdisc", "replace", "dev", end.device, "root", "netem"}, w.arguments()...)...)
	}
}

// arguments are those of `tc qdisc ... netem`. The queue has room for what half
// a second holds.
func (w Weather) arguments() []string {
	args := []string{"limit", "20000"}
	if w.Delay > 0 {
		args = append(args, "delay", milliseconds(w.Delay), milliseconds(w.Jitter))
	}
	for _, part := range []struct {
		name    string
		percent float64
	}{{"loss", w.Loss}, {"duplicate", w.Duplicate}, {"reorder", w.Reorder}} {
		if part.percent > 0 {
			args = append(args, part.name, fmt.Sprintf("%g%%", part.percent))
		}
	}
	return args
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%gms", float64(d)/1e6) }

// WeatherCount is what the discipline says it has sent and lost by now, at the
// host's end of the wire.
func (l *Lab) WeatherCount(h *Host) (sent, lost int) {
	l.t.Helper()
	// Sent 8400 bytes 100 pkt (dropped 3, overlimits 0 requeues 0)
	out := h.Exec(l.t, "tc", "-statistics", "qdisc", "show", "dev", "eth0")
	_, after, found := strings.Cut(out, " bytes ")
	if _, err := fmt.Sscanf(after, "%d pkt (dropped %d,", &sent, &lost); !found || err != nil {
		l.t.Fatalf("%s: no count in %q", h.NodeName, out)
	}
	return sent, lost
}
