// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"flanneld/test/lab"
)

// says waits until an HTTP server of a host answers with the status and all the
// words.
func says(t *testing.T, h *lab.Host, at netip.AddrPort, path string, status int, words ...string) {
	t.Helper()
	lab.Eventually(t, ready, h.NodeName+" "+path, func() error {
		got, body, err := h.Get(at, path)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(body, word) {
				return lab.Expect(false, "%d %q has no %q", got, body, word)
			}
		}
		return lab.Expect(got == status, "%d %q", got, body)
	})
}

// scraped reads the metrics of a host as Prometheus does. It returns the sum of
// each, over all labels; of a histogram, how many it has counted.
func scraped(t *testing.T, h *lab.Host, at netip.AddrPort) map[string]float64 {
	t.Helper()
	status, body, err := h.Get(at, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: metrics: %d, %v", h.NodeName, status, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: metrics: %v", h.NodeName, err)
	}
	sums := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			sums[name] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sums
}

// reports waits until the page of a host gets another node's report.
func reports(t *testing.T, h *lab.Host, at netip.AddrPort) {
	t.Helper()
	conn, err := h.Dial(at, ready)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(ready))
	fmt.Fprintf(conn, "GET /page/events HTTP/1.1\r\nHost: %s\r\n\r\n", at)
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 1<<20)
	for report := false; lines.Scan(); {
		switch line := lines.Text(); {
		case line == "event: report":
			report = true
		case report && strings.HasPrefix(line, "data: ") && strings.Contains(line, `"error":""`) && strings.Contains(line, `"w":"works"`):
			return
		}
	}
	t.Errorf("%s: no report of another node that reaches this one: %v", h.NodeName, lines.Err())
}

// A daemon is healthy from its start on. It is ready when packets pass, and
// says what is missing until then, and when they pass no more.
func TestHealthAndReadinessAreServed(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	open := at(h1.Addr, lab.MetricsPort)
	h2.Start("--metrics", lab.Loopback.String(), "--join", h1.Addr.String())
	says(t, h2, lab.Loopback, "/healthz", http.StatusOK, "ok")
	says(t, h2, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no lease yet: ", "device flannel0 is absent", "subnet.env")

	h1.Start("--metrics", open.String()).WaitReady(ready)
	h2.Daemon.WaitReady(ready)
	says(t, h2, lab.Loopback, "/readyz", http.StatusOK, "ok")
	says(t, h2, open, "/readyz", http.StatusOK, "ok") // h1's
	for h, address := range map[*lab.Host]netip.AddrPort{h1: open, h2: lab.Loopback} {
		if s := h.Status(); s.Metrics.Address != address.String() || s.Metrics.Exposed != (h == h1) || !s.Readiness.Ready {
			t.Errorf("%s: %+v, %+v", h.NodeName, s.Metrics, s.Readiness)
		}
		mentions(t, "the log", h.Daemon.Log(), "metrics and health are served", address.String())
	}
	mentions(t, "the log", h1.Daemon.Log(), "every host that reaches this address")
	mentions(t, "status", h1.Flanneld("status").Stdout, open.String()+", for every host that reaches it")

	says(t, h2, open, "/", http.StatusOK, "flanneld", "page/page.js")
	reports(t, h2, lab.Loopback)

	before := scraped(t, h2, lab.Loopback)
	for name, want := range map[string]float64{"flanneld_ready": 1, "flanneld_device_up": 1, "flanneld_peers": 1, "flanneld_lease_info": 1, "flanneld_peer_reachable": 1} {
		if before[name] != want {
			t.Errorf("%s is %v, want %v", name, before[name], want)
		}
	}
	for _, name := range []string{"flanneld_gossip_bytes_total", "flanneld_probes_sent_total", "flanneld_probe_round_trip_seconds", "flanneld_lane_cpu_seconds_total", "process_resident_memory_bytes"} {
		if before[name] <= 0 {
			t.Errorf("%s is %v", name, before[name])
		}
	}
	h2.Run(t, "ping", "-c", "1", "-W", "1", unheld(h1, h2).String())
	h2.Reachable(t, h1.Lease().Addr(), 5*time.Second)
	after := scraped(t, h2, lab.Loopback)
	for _, name := range []string{"flanneld_dropped_packets_total", "flanneld_icmp_answers_total", "flanneld_packets_total", "flanneld_peer_bytes_total"} {
		if after[name] <= before[name] {
			t.Errorf("%s was %v and is %v", name, before[name], after[name])
		}
	}

	l.Block(lab.Between([]*lab.Host{h1}, []*lab.Host{h2})...)
	says(t, h2, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no data path to another node is proven: ")
	says(t, h2, lab.Loopback, "/healthz", http.StatusOK)
	l.Mend()
	says(t, h2, lab.Loopback, "/readyz", http.StatusOK)

	if status := h2.Daemon.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, _, err := h2.Get(lab.Loopback, "/healthz"); err == nil {
		t.Error("a stopped daemon answers")
	}
}

// The port may be open before the host has an underlay. Where it cannot be
// opened, one line says why.
func TestMetricsAddressIsTakenOrRefused(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	other := h.Listen(t, lab.Loopback)
	refused(t, h, 1, []string{"--metrics", lab.Loopback.String()}, "--metrics 127.0.0.1:8287", "another program listens there")
	other.Close()
	refused(t, h, 1, []string{"--metrics", "203.0.113.7:8287"}, "--metrics 203.0.113.7:8287", "no interface of this host has this address")

	h.Exec(t, "ip", "link", "set", "eth0", "down")
	h.Start("--metrics", lab.Loopback.String())
	says(t, h, lab.Loopback, "/healthz", http.StatusOK)
	says(t, h, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no lease yet: waiting for the underlay")
	if waiting := scraped(t, h, lab.Loopback); waiting["flanneld_ready"] != 0 || waiting["flanneld_build_info"] != 1 {
		t.Errorf("while it waits: ready %v, build %v", waiting["flanneld_ready"], waiting["flanneld_build_info"])
	}
	h.Exec(t, "ip", "link", "set", "eth0", "up")
	h.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
	h.Daemon.WaitReady(ready)
	says(t, h, lab.Loopback, "/readyz", http.StatusOK) // alone in its network
}
