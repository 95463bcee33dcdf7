// SPDX-License-Identifier: Apache-2.0

//go:build page

package page

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flanneld/test/lab"
)

// An open page costs the node that shows it, and each node that it asks. What
// it costs is bounded.
func TestWhatAnOpenPageCosts(t *testing.T) {
	for _, n := range []int{3, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			l := lab.New(t)
			measure(t, l, l.Network(n, "--metrics", netip.AddrPortFrom(netip.IPv4Unspecified(), lab.MetricsPort).String()))
		})
	}
}

// measured is how long costs are counted, and settled is the time that a
// network gets before: it starts with many probes and broadcasts.
const measured, settled = 30 * time.Second, 20 * time.Second

// othersMeasured is how many of the nodes that are asked are looked at.
const othersMeasured = 10

// What an open page may cost: bytes of gossip a second each way, and CPU time.
// Where few nodes are asked, each is asked more often.
const (
	askingBytes, askedBytes = 100e3, 10e3
	askingCPU, askedCPU     = 0.05, 0.01
)

// measure logs what a page of the first host costs it and the others: the
// difference between a while with a viewer and one without.
func measure(t *testing.T, l *lab.Lab, hosts []*lab.Host) {
	t.Helper()
	asking, others := hosts[:1], hosts[1:min(len(hosts), othersMeasured+1)]
	all := append(asking[:1:1], others...)
	time.Sleep(settled)
	alone := rates(t, l, all)
	reports := watch(t, l, hosts[0])
	time.Sleep(settled)
	before := reports.Load()
	shown := rates(t, l, all)
	came := float64(reports.Load()-before) / measured.Seconds()
	var own, each cost
	for i, h := range all {
		more := shown[i].less(alone[i])
		if h == asking[0] {
			own = more
		} else {
			each = each.plus(more.times(1 / float64(len(others))))
		}
	}
	t.Logf("%d nodes, %.1f reports a second: the node with the page %v; each other %v", len(hosts), came, own, each)
	if came == 0 || own.in <= 0 || own.out <= 0 || each.out <= 0 {
		t.Errorf("nothing is asked")
	}
	if own.in > askingBytes || own.out > askingBytes || own.cpu > askingCPU {
		t.Errorf("a page costs the node more than %.0f kB/s and %.0f %% of a core", askingBytes/1000, askingCPU*100)
	}
	if each.in > askedBytes || each.out > askedBytes || each.cpu > askedCPU {
		t.Errorf("a page costs each other node more than %.0f kB/s and %.0f %% of a core", askedBytes/1000, askedCPU*100)
	}
}

// cost is bytes of gossip a second, and CPU seconds a second.
type cost struct{ out, in, cpu float64 }

func (c cost) plus(d cost) cost     { return cost{c.out + d.out, c.in + d.in, c.cpu + d.cpu} }
func (c cost) times(f float64) cost { return cost{c.out * f, c.in * f, c.cpu * f} }
func (c cost) less(d cost) cost     { return c.plus(d.times(-1)) }
func (c cost) String() string {
	return fmt.Sprintf("%.2f kB/s out, %.2f in, %.2f %% CPU", c.out/1000, c.in/1000, c.cpu*100)
}

// rates are what hosts spend. The scrapes are outside of the CPU time.
func rates(t *testing.T, l *lab.Lab, hosts []*lab.Host) []cost {
	t.Helper()
	sums, begun, busy := make([]cost, len(hosts)), make([]time.Time, len(hosts)), make([]time.Time, len(hosts))
	for i, h := range hosts {
		sums[i], begun[i] = gossip(t, l, h), time.Now()
	}
	for i, h := range hosts {
		sums[i].cpu, busy[i] = cpu(t, h), time.Now()
	}
	time.Sleep(measured)
	for i, h := range hosts {
		sums[i].cpu = (cpu(t, h) - sums[i].cpu) / time.Since(busy[i]).Seconds()
	}
	for i, h := range hosts {
		g, seconds := gossip(t, l, h), time.Since(begun[i]).Seconds()
		sums[i].out, sums[i].in = (g.out-sums[i].out)/seconds, (g.in-sums[i].in)/seconds
	}
	return sums
}

// gossip is the bytes of datagrams of a host so far.
func gossip(t *testing.T, l *lab.Lab, h *lab.Host) (c cost) {
	t.Helper()
	_, text, err := l.Switch.Get(netip.AddrPortFrom(h.Addr, lab.MetricsPort), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, `flanneld_gossip_bytes_total{direction="sent",transport="udp"} `); ok {
			fmt.Sscan(rest, &c.out)
		}
		if rest, ok := strings.CutPrefix(line, `flanneld_gossip_bytes_total{direction="received",transport="udp"} `); ok {
			fmt.Sscan(rest, &c.in)
		}
	}
	if c.out == 0 || c.in == 0 {
		t.Fatalf("%s: no gossip in its metrics", h.NodeName)
	}
	return c
}

// cpu is the CPU time of a host's daemon so far, in seconds.
func cpu(t *testing.T, h *lab.Host) float64 {
	t.Helper()
	u, err := h.Daemon.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u.CPU.Seconds()
}

// watch reads the events of a page as a browser does, until the test ends. It
// returns how many reports have come.
func watch(t *testing.T, l *lab.Lab, h *lab.Host) *atomic.Int64 {
	t.Helper()
	at := netip.AddrPortFrom(h.Addr, lab.MetricsPort)
	dial := func(context.Context, string, string) (net.Conn, error) { return l.Switch.Dial(at, 10*time.Second) }
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%v/page/events", at), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DialContext: dial, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	var reports atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			if lines.Text() == "event: report" {
				reports.Add(1)
			}
		}
	}()
	t.Cleanup(func() { _ = answer.Body.Close(); <-ended })
	return &reports
}
