// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"reflect"
	"testing"

	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

// By a path that a node does not announce, nothing of it is let in: there, its
// users could send in its name.
func TestANodeSendsByThePathsThatItAnnounces(t *testing.T) {
	b := plantest.Node("b", peers.Alive, 2)
	vxlan := Arrival{PathVXLAN, 8472}
	for name, c := range map[string]struct {
		n    peers.NodeInfo
		own  []Path
		vni  uint32
		want []Arrival
	}{
		"all":                      {taking(b, everything...), everything, 1, []Arrival{{Path: PathDirect}, vxlan, {Path: PathIPIP}}},
		"what this node has not":   {taking(b, everything...), []Path{PathVXLAN, PathUDP}, 1, []Arrival{vxlan}},
		"what the node has not":    {taking(b, PathIPIP, PathUDP), everything, 1, []Arrival{{Path: PathIPIP}}},
		"another VNI":              {taking(b, PathVXLAN, PathUDP), everything, 2, nil},
		"an earlier release":       {b, everything, 1, nil},
		"udp alone":                {taking(b, everything...), nil, 1, nil},
		"port 0":                   {with(b, caps(peers.Capability{Number: capVXLAN, Param: []byte{0, 0, 0, 0, 1}})), everything, 1, nil},
		"at this node's address":   {with(taking(b, everything...), endpoint("192.0.2.1:9")), everything, 1, nil},
		"at no address":            {with(taking(b, everything...), endpoint("224.0.0.1:8285")), everything, 1, nil},
		"dead, and its kernel not": {with(taking(b, everything...), dead), everything, 1, []Arrival{{Path: PathDirect}, vxlan, {Path: PathIPIP}}},
	} {
		r := routeTo(t, c.n, func(in *Input) { in.Backend, in.VNI, in.Proof = c.own, c.vni, nil })
		if !reflect.DeepEqual(r.Arrivals, c.want) {
			t.Errorf("%s: %+v, want %+v", name, r.Arrivals, c.want)
		}
	}
}

// A host that has just moved from flannel has flannel's device for a while.
// That the list of static peers names its path is enough.
func TestAMemberSendsByThePathOfTheStaticPeerThatItWas(t *testing.T) {
	b := plantest.Node("b", peers.Alive, 2)
	for text, want := range map[string][]Arrival{
		"vxlan:192.0.2.2:4789/02:00:00:00:00:09": {{PathVXLAN, 4789}},
		"vxlan:192.0.2.9:4789/02:00:00:00:00:09": nil, // another host
		"ipip:192.0.2.2":                         nil, // this node takes none
		"192.0.2.2:8285":                         nil,
	} {
		r := routeTo(t, taking(b, PathUDP), func(in *Input) {
			in.Backend, in.Proof = []Path{PathDirect, PathVXLAN, PathUDP}, nil
			in.Static = plantest.StaticPeers(t, b.Lease.Prefix.String()+"="+text)
		})
		if !reflect.DeepEqual(r.Arrivals, want) {
			t.Errorf("%s: %+v, want %+v", text, r.Arrivals, want)
		}
	}
}

func TestAStaticPeerSendsByItsOnePath(t *testing.T) {
	for text, want := range map[string][]Arrival{
		"10.244.9.0/24=192.0.2.9:8285":                         nil,
		"10.244.9.0/24=host-gw:192.0.2.9":                      {{Path: PathDirect}},
		"10.244.9.0/24=vxlan:192.0.2.9:4789/02:00:00:00:00:09": {{Path: PathVXLAN, Port: 4789}},
		"10.244.9.0/24=ipip:192.0.2.9":                         nil,
	} {
		in := Input{Snapshot: plantest.Snapshot(peers.Confirmed), Static: plantest.StaticPeers(t, text), Backend: []Path{PathDirect, PathVXLAN, PathUDP}}
		all := Make(in).Routes
		i := len(all) - 1
		if all[i].Kind == route.Local || !reflect.DeepEqual(all[i].Arrivals, want) {
			t.Errorf("%s: %+v, want %+v", text, all[i], want)
		}
	}
}

func caps(all ...peers.Capability) func(*peers.NodeInfo) {
	return func(n *peers.NodeInfo) { n.Caps = all }
}

func dead(n *peers.NodeInfo) { n.State = peers.Dead }
