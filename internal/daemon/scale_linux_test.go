// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/internal/metrics"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/internal/view"
	"flanneld/peers"
)

// aThousand is a snapshot of as many nodes that take all paths.
func aThousand(network netip.Prefix) *peers.Snapshot {
	s := plantest.Snapshot(peers.Confirmed)
	s.Network.Prefix = network
	for i := range 1000 {
		n := plantest.Node(fmt.Sprintf("n%d", i), peers.Alive, 2)
		a, b := byte(i/250), byte(i%250)
		n.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 8 + a, b + 1}), 8285)
		n.Lease.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 248 + a, b, 0}), 24)
		n.Caps = plan.Announced([]plan.Path{plan.PathDirect, plan.PathVXLAN, plan.PathUDP}, 8472, 1, nil)
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

// scrapeEvery is how often Prometheus scrapes by default in most setups.
const scrapeEvery = 15 * time.Second

// scraper answers scrapes of a node in a network of a thousand, all of it but
// the probes.
func scraper(t testing.TB) http.Handler {
	t.Helper()
	d := onEthernet(t, "auto")
	s := aThousand(netip.MustParsePrefix("10.240.0.0/12"))
	if err := d.route(s); err != nil {
		t.Fatal(err)
	}
	v := view.New(view.Config{
		Config: d.cfg, Started: time.Now(), Snapshot: func() *peers.Snapshot { return s }, Here: func() underlay.Underlay { return underlay.Underlay{} },
		Routes: d.planes.routes, Totals: &d.planes.totals, Problems: d.problems, Live: d.planes.live, Check: d.checkHost,
		Host: func() view.Host { return view.Host{} },
	})
	return metrics.Handler(metrics.Config{Look: v.StatusAndNodes, Drops: dropKinds(), Parts: problem.Parts(), Log: d.log})
}

// BenchmarkScrapeOfAThousandNodes reports the share of a core that scrapes
// take.
func BenchmarkScrapeOfAThousandNodes(b *testing.B) {
	h := scraper(b)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
	b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(scrapeEvery), "%core/15s")
}

// A scrape has all thousand nodes. The benchmark says at what cost.
func TestAScrapeOfAThousandNodesIsWhole(t *testing.T) {
	w := httptest.NewRecorder()
	scraper(t).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "flanneld_peers 1000\n") {
		t.Fatalf("%d: %.500s", w.Code, w.Body)
	}
}

// A plan for a thousand nodes is made and handed on at each change of a proof,
// by the goroutine that does everything else.
func BenchmarkPlanForAThousandNodes(b *testing.B) {
	d := onEthernet(b, "auto")
	s := aThousand(netip.MustParsePrefix("10.240.0.0/12"))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.route(s); err != nil {
			b.Fatal(err)
		}
	}
}
