// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"flanneld/internal/control"
)

// large is a node table with that many peers; the later ones have more traffic.
func large(peers int) control.Nodes {
	var all control.Nodes
	for i := range peers {
		all.Nodes = append(all.Nodes, control.Node{
			ID: fmt.Sprintf("%026d", i), Name: fmt.Sprintf("host%d.example.org", i),
			Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24),
			Egress: control.Traffic{Packets: uint64(i), Bytes: uint64(i) * 100}, Path: control.Path{State: control.PathWorks, RTT: 0.001},
			Paths: []control.NodePath{{Path: "direct"}, {Path: "vxlan", Used: true, Arrived: control.Traffic{Packets: 1, Bytes: 1}}, {Path: "udp"}},
		})
	}
	return all
}

// maxSeries is how many series a node has at most; docs/metrics.md says so.
const maxSeries = 1500

func TestALargeNetworkHasBoundedSeries(t *testing.T) {
	table := large(1000)
	table.Nodes[500].Path = control.Path{State: control.PathFailed}
	families := scrape(t, config(func() (control.Status, control.Nodes) { return status(), table }))
	count := 0
	for name, f := range families {
		if strings.HasPrefix(name, "flanneld_") {
			for _, m := range f.Metric {
				count++
				if h := m.GetHistogram(); h != nil {
					count += len(h.Bucket) + 2
				}
			}
		}
	}
	if count > maxSeries {
		t.Errorf("%d series, at most %d", count, maxSeries)
	}
	got := series(families)
	if got["flanneld_peers{}"] != 1000 || got["flanneld_peers_shown{}"] != maxPeers {
		t.Errorf("%v peers, %v shown", got["flanneld_peers{}"], got["flanneld_peers_shown{}"])
	}
	for i, shown := range map[int]bool{999: true, 900: true, 899: false, 0: false} {
		found := false
		for name := range got {
			found = found || strings.Contains(name, fmt.Sprintf(`peer="host%d.example.org"`, i))
		}
		if found != shown {
			t.Errorf("peer %d is shown: %t", i, found)
		}
	}
}

// What a stranger announces cannot break a scrape: a name of any bytes, one
// name for several nodes, one node twice.
func TestNamesOfStrangersAreBounded(t *testing.T) {
	table := large(3)
	table.Nodes[0].Name = "a\nb\"c\\d\x00\xff" + strings.Repeat("ß", 500)
	table.Nodes[1].Name, table.Nodes[2].Name = "same", "same"
	table.Nodes = append(table.Nodes, table.Nodes[2])
	got := series(scrape(t, config(func() (control.Status, control.Nodes) { return status(), table })))
	if got["flanneld_peers_shown{}"] != 3 {
		t.Errorf("%v peers", got["flanneld_peers_shown{}"])
	}
	for name := range got {
		if len(name) > 700 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q", name)
		}
	}
}

func TestLabelsKeepWhatCanBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "": "", "Grüße": "Grüße", "a\nb": "a_b", "\xff": "_", "a\x1b[2J": "a_[2J", "z\u202e": "z_",
		strings.Repeat("x", maxLabel): strings.Repeat("x", maxLabel), strings.Repeat("x", maxLabel+1): strings.Repeat("x", maxLabel),
		strings.Repeat("ß", maxLabel): strings.Repeat("ß", maxLabel/2),
	} {
		if got := labelText(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func FuzzLabelText(f *testing.F) {
	for _, text := range []string{"plain", "a\nb\x00\xff", strings.Repeat("ß", maxLabel), "節\u202e"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := labelText(text)
		if len(got) > maxLabel || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q became %q", text, got)
		}
		if again := labelText(got); again != got {
			t.Errorf("%q became %q, and then %q", text, got, again)
		}
	})
}

// BenchmarkScrape is a scrape of a node in a network of a thousand, without
// what status and nodes cost. It reports the share of a core that it takes
// every 15 s.
func BenchmarkScrape(b *testing.B) {
	n, table := status(), large(1000)
	handler := Handler(config(func() (control.Status, control.Nodes) { return n, table }))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		b.SetBytes(int64(w.Body.Len()))
	}
	b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(15*time.Second), "%core/15s")
}
