package peers

import (
	"net/netip"
	"strings"
	"testing"

	"flanneld/peers/internal/core"
)

func TestMetaIsReadBack(t *testing.T) {
	for _, m := range []meta{
		{node: core.NodeID{1}, instance: 7},
		{node: core.NodeID{1}, instance: 1 << 63, network: core.NetworkID{2}, prefix: netip.MustParsePrefix("10.244.0.0/16"), settled: true},
		{node: core.NodeID{255}, network: core.NetworkID{3}, prefix: netip.MustParsePrefix("0.0.0.0/0"), looking: true},
	} {
		b := m.encode()
		if len(b) > maxMetaSize {
			t.Errorf("%d bytes", len(b))
		}
		got, err := parseMeta(b)
		if err != nil || got != m {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
		if got, err := parseMeta(append(b, "what a later version adds"...)); err != nil || got != m {
			t.Errorf("with an addition: %+v, %v", got, err)
		}
	}
}

func TestMemberNameIsReadBack(t *testing.T) {
	id := core.NodeID{1, 2, 3}
	name := memberName(id, 42)
	if got, start, err := parseMemberName(name); err != nil || got != id || start != 42 {
		t.Errorf("%s: %v %d %v", name, got, start, err)
	}
	for _, bad := range []string{"", "-", "host-1", id.String(), id.String() + "-", id.String() + "-x", id.String() + "-01", strings.ToUpper(name), name + "-1"} {
		if _, _, err := parseMemberName(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(meta{node: core.NodeID{1}}.encode())
	f.Add(meta{node: core.NodeID{1}, network: core.NetworkID{2}, prefix: netip.MustParsePrefix("10.0.0.0/8"), settled: true}.encode())
	f.Add([]byte{metaVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		if m.node.IsZero() || m.network.IsZero() == m.prefix.IsValid() {
			t.Fatalf("%+v", m)
		}
		if again, err := parseMeta(m.encode()); err != nil || again != m {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func FuzzMemberName(f *testing.F) {
	f.Add(memberName(core.NodeID{1}, 1))
	f.Add("join-1")
	f.Fuzz(func(t *testing.T, name string) {
		if id, start, err := parseMemberName(name); err == nil && memberName(id, start) != name {
			t.Fatalf("%q is %v, %d", name, id, start)
		}
	})
}
