// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/control"
)

// idOf is the ID of a node of these tests.
func idOf(n int) string {
	return idEncoding.EncodeToString(append(bytes.Repeat([]byte{byte(n >> 8), byte(n)}, 4), make([]byte, 8)...))
}

// network is how a node with so many peers sees its network. Each tenth peer is
// not reached.
func network(peers int) (control.Status, control.Nodes) {
	s := control.Status{
		Health: control.Health{Summary: "1 problem"}, Version: "1.2.3", Uptime: 100, Lease: control.Lease{State: "confirmed"},
		Problems: []control.Problem{{Part: "path", Text: "packets do not reach \x1b[31mhost2", Advice: "open UDP port 8285", Since: 7}},
		Offloads: []control.Offload{{Name: "tun-tso", Used: true}, {Name: "udp-gro", Note: "the kernel has it not"}},
		Egress:   control.Traffic{Packets: 5, Bytes: 500}, Ingress: control.Traffic{Packets: 2, Bytes: 200},
		Arrived: map[string]control.Traffic{"vxlan": {Packets: 1, Bytes: 50}},
		Drops:   map[string]uint64{"egress-no-route": 3, "ingress-ipv6": 9, "egress-ipv6": 0},
		Device:  control.Device{MTU: 1472},
		Shortcut: control.Shortcut{
			Ready: true, Peers: 2, Egress: control.Traffic{Packets: 4, Bytes: 400}, Ingress: control.Traffic{Packets: 1, Bytes: 90},
		},
	}
	n := control.Nodes{Nodes: []control.Node{{ID: idOf(0), Self: true, State: "alive"}}}
	for i := 1; i <= peers; i++ {
		node := control.Node{
			ID: idOf(i), Name: fmt.Sprint("host", i), State: "alive", Subnet: netip.MustParsePrefix("10.244.3.0/24"),
			Path:   control.Path{State: control.PathWorks, RTT: 0.0004, Sent: 100, Lost: 1},
			Paths:  []control.NodePath{{Path: "vxlan", Used: true, Arrived: control.Traffic{Bytes: 7}}, {Path: "udp"}},
			Egress: control.Traffic{Bytes: 11}, Ingress: control.Traffic{Bytes: 13},
		}
		if i%10 == 0 {
			node.Path.State = control.PathFailed
		}
		n.Nodes = append(n.Nodes, node)
	}
	n.Nodes = append(n.Nodes, control.Node{Name: "static 10.0.0.9:8285", State: control.StateStatic})
	return s, n
}

func TestAReportSaysWhatStatusSays(t *testing.T) {
	want := Of(network(20))
	got, err := Decode(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back: %+v\nwritten: %+v", got, want)
	}
	if got.In != (Traffic{Packets: 3, Bytes: 250}) || got.Out.Bytes != 500 || got.MTU != 1472 || got.OK {
		t.Errorf("%+v", got)
	}
	if len(got.Drops) != 2 || got.Drops[0].Kind != "ingress-ipv6" {
		t.Errorf("drops %+v", got.Drops)
	}
	if p := got.Problems[0]; p.Text != "packets do not reach _[31mhost2" || p.Advice != "open UDP port 8285" || p.Since != 7 {
		t.Errorf("problem %+v", p)
	}
	first, last := got.Peers[0], got.Peers[19]
	if first.ProofName() != control.PathFailed || !bytes.Equal(first.ID, ShortID(idOf(10))) {
		t.Errorf("the first peer is %+v", first)
	}
	if last.ProofName() != control.PathWorks || last.PathName() != "vxlan" || last.StateName() != "alive" || last.RTT != 400 || last.In != 20 || last.Out != 11 {
		t.Errorf("the last peer is %+v", last)
	}
	if got.Shortcut.Peers != 2 || got.Shortcut.Out.Bytes != 400 || got.Shortcut.In.Bytes != 90 || !got.Shortcut.Ready {
		t.Errorf("short-cut %+v", got.Shortcut)
	}
	if unknown := (Peer{State: 200, Path: 200, Proof: 200}); unknown.StateName()+unknown.PathName()+unknown.ProofName() != "" {
		t.Errorf("words for unknown numbers")
	}
}

// A peer has each path that a node can use, and udp says what carries it.
func TestAPeerHasEachPath(t *testing.T) {
	for _, name := range control.PathNames {
		n := control.Node{Paths: []control.NodePath{{Path: "other"}, {Path: name, Used: true}}}
		if got := peerOf(n, nil).PathName(); got != name {
			t.Errorf("%s became %q", name, got)
		}
	}
	n := control.Node{Paths: []control.NodePath{{Path: "udp", Used: true, Shortcut: control.NodeShortcut{Used: true}}}}
	if got := peerOf(n, nil).PathName(); got != control.PathKernel {
		t.Errorf("the short-cut became %q", got)
	}
}

// However large the network, however much is wrong: a report fits, with those
// peers that are not reached.
func TestAReportIsBounded(t *testing.T) {
	s, n := network(2000)
	long := strings.Repeat("é", 5000)
	for i := range 100 {
		s.Problems = append(s.Problems, control.Problem{Part: long, Text: long, Advice: long})
		s.Offloads = append(s.Offloads, control.Offload{Name: long, Note: long})
		s.Backend.Paths = append(s.Backend.Paths, control.BackendPath{Path: long, Unavailable: long})
		s.Drops[fmt.Sprint(long, i)] = 1 << 63
	}
	s.Version, s.Lease.State, s.Shortcut.Why = long, "confirmed", long
	r := Of(s, n)
	b := r.Encode()
	if len(b) > MaxLen {
		t.Fatalf("%d bytes", len(b))
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Peers)+got.Others != 2000 || len(got.Peers) == 0 || got.Peers[0].ProofName() != control.PathFailed {
		t.Errorf("%d peers and %d others", len(got.Peers), got.Others)
	}
	usual := len(Of(network(59)).Encode())
	t.Logf("largest %d bytes; one of 60 nodes %d", len(b), usual)
	if usual > 3072 {
		t.Errorf("a report of 60 nodes takes %d bytes", usual)
	}
}

func TestMalformedReportsAreRefused(t *testing.T) {
	good := Of(network(3))
	for what, change := range map[string]func(*Report){
		"a control character": func(r *Report) { r.Version = "1\x1b" },
		"no text":             func(r *Report) { r.Problems[0].Text = "\xff" },
		"a long text":         func(r *Report) { r.Problems[0].Advice = strings.Repeat("x", maxText+1) },
		"a short ID":          func(r *Report) { r.Peers[0].ID = []byte{1} },
		"a long reason":       func(r *Report) { r.Shortcut.Why = strings.Repeat("x", maxText+1) },
		"too many peers":      func(r *Report) { r.Peers = make([]Peer, MaxPeers+1) },
		"too many problems":   func(r *Report) { r.Problems = make([]Problem, maxProblems+1) },
		"a negative number":   func(r *Report) { r.Others = -1 },
	} {
		r := Of(network(3))
		change(&r)
		b, err := encoder.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	whole := good.Encode()
	for n := range whole {
		if _, err := Decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(whole))
		}
	}
	if _, err := Decode(make([]byte, MaxLen+1)); err == nil {
		t.Error("a report is taken that is too long")
	}
}

// A later version can add what this one does not know.
func TestAReportOfALaterVersionIsRead(t *testing.T) {
	b, err := encoder.Marshal(map[int]any{1: "2.0", 3: true, 99: "more"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Decode(b); err != nil || r.Version != "2.0" || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Of(network(3)).Encode())
	f.Add(Of(control.Status{}, control.Nodes{}).Encode())
	f.Add([]byte{0xa0})
	f.Add([]byte{0xa1, 13, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		if len(r.Peers) > MaxPeers || r.Others < 0 || !readable(maxName, r.Version) {
			t.Errorf("taken: %+v", r)
		}
		again, err := Decode(r.Encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v came back as %+v, %v", r, again, err)
		}
	})
}
