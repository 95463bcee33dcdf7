// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"flanneld/internal/control"
)

var prefix = netip.MustParsePrefix

// status is a node that has everything.
func status() control.Status {
	return control.Status{
		Version: "1.2.3", Node: control.NodeName{ID: "34fvl4fdwt4ar4hk2puir6ob6q", Name: "alpha"},
		Network: control.Network{ID: "c601936abc4f087a", Prefix: prefix("10.244.0.0/16")},
		Lease: control.Lease{State: "confirmed", Subnet: prefix("10.244.7.0/24"), Epoch: 2, Age: 3700,
			Claim: &control.Claim{Needed: 3, PromisedBy: make([]control.NodeName, 2), Missing: make([]control.Missing, 1)}},
		Device:   control.Device{Name: "flannel0", State: control.DeviceUp, MTU: 1472},
		Offloads: []control.Offload{{Name: "udp-gso", Used: true}, {Name: "udp-gro", Note: "switched off"}},
		Members:  control.Members{Alive: 2, Dead: 1, Static: 1},
		Paths:    control.Paths{Works: 2, Failed: 1},
		Backend:  control.Backend{Paths: []control.BackendPath{{Path: "vxlan", Peers: 1}, {Path: "udp", Peers: 1}}},
		Shortcut: control.Shortcut{Ready: true, Peers: 1, Egress: control.Traffic{Packets: 4, Bytes: 6000}, Ingress: control.Traffic{Packets: 3, Bytes: 300},
			Left: map[string]uint64{"egress-too-long": 2}},
		Egress:    control.Traffic{Packets: 10, Bytes: 15000},
		Ingress:   control.Traffic{Packets: 9, Bytes: 999},
		Drops:     map[string]uint64{"egress-no-route": 3},
		Answers:   control.ICMPAnswers{Sent: 2, Suppressed: 1},
		Arrived:   map[string]control.Traffic{"vxlan": {Packets: 100, Bytes: 150_000}},
		Refused:   map[string]control.Traffic{"vxlan": {Packets: 5, Bytes: 400}, "sent": {Packets: 1, Bytes: 80}},
		Threads:   []control.Thread{{CPU: 12.5, Nice: -10}, {Express: true, CPU: 0.25, Priority: 2}},
		Conflicts: make([]control.Conflict, 1), Problems: []control.Problem{{Part: "conflict"}, {Part: "path"}, {Part: "path"}},
		Probes: []control.Probes{{Path: "udp", Sent: 107, Answered: 85, Lost: 20, RTT: 0.034,
			RoundTrips: []control.RoundTrips{{UpTo: 0.0005, Count: 80}, {UpTo: 0.001, Count: 4}, {Count: 1}}}},
		PathChanges:   map[string]uint64{"vxlan": 2},
		GossipTraffic: control.GossipTraffic{DatagramsSent: 900, DatagramBytesSent: 99_000, StreamBytesReceived: 12_000, QueuedMessages: 2, Dropped: 4, Lag: 0.75},
		Tables:        []control.Table{{Name: "nodes", Used: 3, Limit: 8192}, {Name: "promises", Used: 1}},
		Host:          control.Host{ReadyAfter: 0.25, Repairs: map[string]uint64{"firewall": 1, "ports": 0}},
		Readiness:     control.Readiness{Ready: true},
		Security: control.Security{DataSealed: true, Sealing: control.Sealing{
			Sessions: 2, Handshakes: 7, Rekeys: 5, Failed: 1, Waiting: 3, Roamed: 1, Roams: 4, Rejected: map[string]uint64{"forged": 9}}},
	}
}

func nodes() control.Nodes {
	return control.Nodes{Nodes: []control.Node{
		{ID: "34fvl4fdwt4ar4hk2puir6ob6q", Name: "alpha", Self: true, Subnet: prefix("10.244.7.0/24")},
		{ID: "daqidas26spmrryj2lszxlbbcu", Name: "beta", Subnet: prefix("10.244.9.0/24"), PathChanges: 3,
			Egress: control.Traffic{Packets: 10, Bytes: 15000}, Ingress: control.Traffic{Packets: 9, Bytes: 999},
			Path:  control.Path{State: control.PathWorks, RTT: 0.0004},
			Paths: []control.NodePath{{Path: "vxlan", Used: true, Arrived: control.Traffic{Packets: 100, Bytes: 150_000}}, {Path: "udp"}}},
		{ID: "zzzzzzzz26spmrryj2lszxlbbcu", Name: "joining"},
		{Name: "192.168.1.9", State: control.StateStatic, Subnet: prefix("10.244.200.0/24"), Path: control.Path{State: control.PathFailed}},
	}}
}

func config(look func() (control.Status, control.Nodes)) Config {
	return Config{
		Look:  look,
		Drops: []string{"egress-no-route", "egress-too-short", "ingress-too-short"},
		Parts: []string{"lease", "conflict", "path"}, Log: slog.New(slog.DiscardHandler),
	}
}

func whole() (control.Status, control.Nodes) { return status(), nodes() }

// scrape asks as Prometheus does, and parses the answer.
func scrape(t *testing.T, c Config) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(c).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		text, _ := io.ReadAll(w.Body)
		t.Fatalf("%d: %s", w.Code, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// series writes each value of flanneld's own metrics as Prometheus does.
func series(families map[string]*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			all[name+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return all
}

func TestAScrapeShowsWhatStatusSays(t *testing.T) {
	got := series(scrape(t, config(whole)))
	beta := `id="daqidas26spmrryj2lszxlbbcu",`
	for want, value := range map[string]float64{
		`flanneld_node_info{device="flannel0",id="34fvl4fdwt4ar4hk2puir6ob6q",network="c601936abc4f087a",node="alpha"}`: 1,
		`flanneld_data_sealed{}`: 1, `flanneld_seal_sessions{}`: 2, `flanneld_seal_handshakes_total{}`: 7, `flanneld_seal_rekeys_total{}`: 5,
		`flanneld_seal_handshakes_failed_total{}`: 1, `flanneld_seal_waiting_packets{}`: 3, `flanneld_seal_handshakes_rejected_total{reason="forged"}`: 9,
		`flanneld_seal_roamed_peers{}`: 1, `flanneld_seal_roams_total{}`: 4,
		`flanneld_ready{}`: 1, `flanneld_start_duration_seconds{}`: 0.25,
		`flanneld_problems{part="path"}`: 2, `flanneld_problems{part="conflict"}`: 1, `flanneld_problems{part="lease"}`: 0,
		`flanneld_members{state="alive"}`: 2, `flanneld_members{state="suspect"}`: 0,
		`flanneld_table_entries{table="nodes"}`: 3, `flanneld_table_limit_entries{table="nodes"}`: 8192, `flanneld_table_entries{table="promises"}`: 1,
		`flanneld_gossip_bytes_total{direction="sent",transport="udp"}`: 99000, `flanneld_gossip_bytes_total{direction="received",transport="tcp"}`: 12000,
		`flanneld_gossip_dropped_total{}`: 4, `flanneld_gossip_queue_messages{}`: 2, `flanneld_gossip_lag_seconds{}`: 0.75,
		`flanneld_lease_state{state="confirmed"}`: 1, `flanneld_lease_state{state="lost"}`: 0,
		`flanneld_lease_info{network="c601936abc4f087a",subnet="10.244.7.0/24"}`: 1,
		`flanneld_lease_epoch{}`: 2, `flanneld_lease_age_seconds{}`: 3700, `flanneld_lease_conflicts{}`: 1,
		`flanneld_claim_active{}`: 1, `flanneld_claim_promises{}`: 2, `flanneld_claim_needed_promises{}`: 3, `flanneld_claim_missing_nodes{}`: 1,
		`flanneld_packets_total{direction="egress",path="udp"}`: 10, `flanneld_bytes_total{direction="ingress",path="vxlan"}`: 150000,
		`flanneld_dropped_packets_total{direction="egress",reason="no-route"}`: 3, `flanneld_dropped_packets_total{direction="ingress",reason="too-short"}`: 0,
		`flanneld_kernel_path_refused_packets_total{path="vxlan"}`: 5, `flanneld_kernel_path_refused_packets_total{path="sent"}`: 1,
		`flanneld_icmp_answers_total{outcome="suppressed"}`: 1,
		`flanneld_lane_cpu_seconds_total{lane="0"}`:         12.5, `flanneld_lane_realtime_priority{lane="express"}`: 2, `flanneld_lane_nice{lane="0"}`: -10,
		`flanneld_data_paths{state="works"}`: 2, `flanneld_data_paths{state="failed"}`: 1, `flanneld_path_peers{path="vxlan"}`: 1,
		`flanneld_path_changes_total{path="vxlan"}`: 2, `flanneld_path_changes_total{path="udp"}`: 0,
		`flanneld_probes_sent_total{path="udp"}`: 107, `flanneld_probes_lost_total{path="udp"}`: 20, `flanneld_probe_round_trip_seconds{path="udp"}`: 85,
		`flanneld_shortcut_ready{}`: 1, `flanneld_shortcut_peers{}`: 1, `flanneld_shortcut_packets_total{direction="egress"}`: 4,
		`flanneld_shortcut_bytes_total{direction="ingress"}`: 300, `flanneld_shortcut_left_packets_total{direction="egress",reason="too-long"}`: 2,
		`flanneld_device_up{}`: 1, `flanneld_device_mtu_bytes{}`: 1472, `flanneld_offload_used{offload="udp-gso"}`: 1, `flanneld_offload_used{offload="udp-gro"}`: 0,
		`flanneld_host_repairs_total{part="firewall"}`: 1, `flanneld_host_repairs_total{part="ports"}`: 0,
		`flanneld_peer_bytes_total{direction="egress",` + beta + `path="udp",peer="beta",subnet="10.244.9.0/24"}`:    15000,
		`flanneld_peer_bytes_total{direction="ingress",` + beta + `path="vxlan",peer="beta",subnet="10.244.9.0/24"}`: 150000,
		`flanneld_peer_path_info{` + beta + `path="vxlan",peer="beta",subnet="10.244.9.0/24"}`:                       1,
		`flanneld_peer_path_changes_total{` + beta + `peer="beta",subnet="10.244.9.0/24"}`:                           3,
		`flanneld_peer_round_trip_seconds{` + beta + `peer="beta",subnet="10.244.9.0/24"}`:                           0.0004,
		`flanneld_peer_reachable{` + beta + `peer="beta",subnet="10.244.9.0/24"}`:                                    1,
		`flanneld_peer_reachable{id="",peer="192.168.1.9",subnet="10.244.200.0/24"}`:                                 0,
		`flanneld_peers{}`: 2, `flanneld_peers_shown{}`: 2,
	} {
		if have, ok := got[want]; !ok || have != value {
			t.Errorf("%s is %v (there: %t), want %v", want, have, ok, value)
		}
	}
	for name := range got {
		if strings.Contains(name, `peer="alpha"`) || strings.Contains(name, `peer="joining"`) {
			t.Errorf("%s is no peer", name)
		}
	}
}

// Each class of the histogram has what the smaller ones have.
func TestRoundTripsAreAHistogram(t *testing.T) {
	h := scrape(t, config(whole))["flanneld_probe_round_trip_seconds"].Metric[0].GetHistogram()
	var counts []uint64
	for _, b := range h.Bucket {
		counts = append(counts, b.GetCumulativeCount())
	}
	if fmt.Sprint(counts) != "[80 84 85]" || h.GetSampleSum() != 0.034 || h.GetSampleCount() != 85 {
		t.Errorf("%v of %d, %v s", counts, h.GetSampleCount(), h.GetSampleSum())
	}
}

// A daemon without underlay or device is scraped, too.
func TestANodeWithNothingIsShown(t *testing.T) {
	got := scrape(t, config(func() (control.Status, control.Nodes) { return control.Status{}, control.Nodes{} }))
	if got["flanneld_ready"] == nil || got["process_resident_memory_bytes"] == nil || got["go_goroutines"] == nil || got["flanneld_lease_info"] != nil {
		t.Errorf("there are %d metrics", len(got))
	}
}

// Names and units follow the rules that `promtool check metrics` holds.
func TestNamesFollowTheRules(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{config(whole)})
	wrong, err := testutil.GatherAndLint(r)
	if err != nil || len(wrong) > 0 {
		t.Errorf("%v, %+v", err, wrong)
	}
}

// docs/metrics.md has each metric with its type, labels and meaning.
func TestEveryMetricIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(flanneld_\\w+)` .*$").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = m[0]
	}
	families := scrape(t, config(whole))
	kinds := map[prometheus.ValueType]string{prometheus.GaugeValue: "gauge", prometheus.CounterValue: "counter", prometheus.UntypedValue: "histogram"}
	for _, d := range descriptions {
		labels := "-"
		if len(d.labels) > 0 {
			labels = strings.Join(d.labels, ", ")
		}
		want := fmt.Sprintf("| `%s` | %s | %s | %s |", d.name, kinds[d.kind], labels, strings.TrimSuffix(d.help, "."))
		if rows[d.name] != want {
			t.Errorf("docs/metrics.md has\n%s\nwant\n%s", rows[d.name], want)
		}
		delete(rows, d.name)
		if families[d.name] == nil {
			t.Errorf("%s is not shown", d.name)
		} else if got := strings.ToLower(families[d.name].GetType().String()); got != kinds[d.kind] {
			t.Errorf("%s is a %s, described as a %s", d.name, got, kinds[d.kind])
		}
	}
	for name := range rows {
		t.Errorf("docs/metrics.md has %s, which is no metric", name)
	}
}
