// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"strings"
	"testing"

	"flanneld/peers/internal/record"
)

// identity makes the key of a node, always the same one.
func identity(n byte) record.Identity {
	return record.Identity{Key: ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), n))}
}

// metas are some that differ in everything.
func metas() (keys []record.Identity, all []Meta) {
	for i, m := range []Meta{
		{At: netip.MustParseAddrPort("10.0.0.1:8286"), Speaks: OwnVersions},
		{At: netip.MustParseAddrPort("10.0.0.2:1"), Instance: 1 << 63, Network: record.NetworkID{2}, Prefix: netip.MustParsePrefix("10.244.0.0/16"), Settled: true},
		{At: netip.MustParseAddrPort("[2001:db8::1]:65535"), Start: maxStart, Version: 9, Network: record.NetworkID{3}, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Looking: true, Speaks: Versions{1, 255}},
	} {
		key := identity(byte(i))
		m.Node, m.Key = key.ID(), [32]byte(key.Public())
		keys, all = append(keys, key), append(all, m)
	}
	return keys, all
}

func TestMetaIsReadBack(t *testing.T) {
	keys, all := metas()
	for i, m := range all {
		b := m.Encode(keys[i])
		if len(b) > maxMetaSize {
			t.Errorf("%d bytes", len(b))
		}
		got, err := ParseMeta(b)
		if err != nil || got != m || !VerifyMeta(b, got) {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
		// What a later version adds is signed, and is not looked at.
		later := append(b[:len(b)-66:len(b)-66], 0, 5)
		later = append(later, "later"...)
		later = append(later, keys[i].SignStatement(metaDomain, later)...)
		if got, err := ParseMeta(later); err != nil || got != m || !VerifyMeta(later, got) {
			t.Errorf("with an addition: %+v, %v", got, err)
		}
	}
}

// Each bit of a meta is signed by the node with its ID.
func TestMetaIsWrittenByItsNodeAlone(t *testing.T) {
	keys, all := metas()
	for i, m := range all {
		b := m.Encode(keys[i])
		for bit := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[bit/8] ^= 1 << (bit % 8)
			if got, err := ParseMeta(forged); err == nil && VerifyMeta(forged, got) {
				t.Fatalf("bit %d of byte %d may be flipped", bit%8, bit/8)
			}
		}
		other := m.Encode(keys[(i+1)%len(keys)])
		if got, err := ParseMeta(other); err == nil && got.Node == m.Node && VerifyMeta(other, got) {
			t.Error("another node's key signs for it")
		}
	}
}

func TestMemberNameIsReadBack(t *testing.T) {
	id := record.NodeID{1, 2, 3}
	name := MemberName(id, 42)
	if got, start, err := ParseMemberName(name); err != nil || got != id || start != 42 {
		t.Errorf("%s: %v %d %v", name, got, start, err)
	}
	for _, bad := range []string{"", "-", "host-1", id.String(), id.String() + "-", id.String() + "-x", id.String() + "-01", strings.ToUpper(name), name + "-1"} {
		if _, _, err := ParseMemberName(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzMeta(f *testing.F) {
	keys, all := metas()
	for i, m := range all {
		f.Add(m.Encode(keys[i]))
	}
	f.Add([]byte{metaVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMeta(b)
		if err != nil {
			return
		}
		if m.Node.IsZero() || m.Network.IsZero() == m.Prefix.IsValid() || m.Start > maxStart {
			t.Fatalf("%+v", m)
		}
		VerifyMeta(b, m)
	})
}

func FuzzMemberName(f *testing.F) {
	f.Add(MemberName(record.NodeID{1}, 1))
	f.Add("join-1")
	f.Fuzz(func(t *testing.T, name string) {
		if id, start, err := ParseMemberName(name); err == nil && MemberName(id, start) != name {
			t.Fatalf("%q is %v, %d", name, id, start)
		}
	})
}
