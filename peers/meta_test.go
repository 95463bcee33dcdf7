package peers

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"flanneld/peers/internal/record"
)

// metas are some that differ in everything.
func metas() (keys []record.Identity, all []meta) {
	for i, m := range []meta{
		{at: netip.MustParseAddrPort("10.0.0.1:8286"), speaks: ownVersions},
		{at: netip.MustParseAddrPort("10.0.0.2:1"), instance: 1 << 63, network: record.NetworkID{2}, prefix: netip.MustParsePrefix("10.244.0.0/16"), settled: true},
		{at: netip.MustParseAddrPort("[2001:db8::1]:65535"), start: maxStart, version: 9, network: record.NetworkID{3}, prefix: netip.MustParsePrefix("0.0.0.0/0"), looking: true, speaks: versions{1, 255}},
	} {
		key := identityOf(byte(i))
		m.node, m.key = key.ID(), [32]byte(key.Public())
		keys, all = append(keys, key), append(all, m)
	}
	return keys, all
}

func TestMetaIsReadBack(t *testing.T) {
	keys, all := metas()
	for i, m := range all {
		b := m.encode(keys[i])
		if len(b) > maxMetaSize {
			t.Errorf("%d bytes", len(b))
		}
		got, err := parseMeta(b)
		if err != nil || got != m || !verifyMeta(b, got) {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
		// What a later version adds is signed, and is not looked at.
		later := append(b[:len(b)-66:len(b)-66], 0, 5)
		later = append(later, "later"...)
		later = append(later, keys[i].SignStatement(metaDomain, later)...)
		if got, err := parseMeta(later); err != nil || got != m || !verifyMeta(later, got) {
			t.Errorf("with an addition: %+v, %v", got, err)
		}
	}
}

// Each bit of a meta is signed by the node whose ID it has.
func TestMetaIsWrittenByItsNodeAlone(t *testing.T) {
	keys, all := metas()
	for i, m := range all {
		b := m.encode(keys[i])
		for bit := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[bit/8] ^= 1 << (bit % 8)
			if got, err := parseMeta(forged); err == nil && verifyMeta(forged, got) {
				t.Fatalf("bit %d of byte %d may be flipped", bit%8, bit/8)
			}
		}
		other := m.encode(keys[(i+1)%len(keys)])
		if got, err := parseMeta(other); err == nil && got.node == m.node && verifyMeta(other, got) {
			t.Error("another node's key signs for it")
		}
	}
}

func TestMemberNameIsReadBack(t *testing.T) {
	id := record.NodeID{1, 2, 3}
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
	keys, all := metas()
	for i, m := range all {
		f.Add(m.encode(keys[i]))
	}
	f.Add([]byte{metaVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		if m.node.IsZero() || m.network.IsZero() == m.prefix.IsValid() || m.start > maxStart {
			t.Fatalf("%+v", m)
		}
		verifyMeta(b, m)
	})
}

func FuzzMemberName(f *testing.F) {
	f.Add(memberName(record.NodeID{1}, 1))
	f.Add("join-1")
	f.Fuzz(func(t *testing.T, name string) {
		if id, start, err := parseMemberName(name); err == nil && memberName(id, start) != name {
			t.Fatalf("%q is %v, %d", name, id, start)
		}
	})
}
