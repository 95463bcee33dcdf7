// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSeedIsHostAndPort(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1":         "10.0.0.1:8286",
		"10.0.0.1:99":      "10.0.0.1:99",
		"Host-1.example.":  "host-1.example.:8286",
		"node_2:65535":     "node_2:65535",
		"1host.local:8286": "1host.local:8286",
	} {
		got, err := parseSeed(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ":", ":8286", "host:", "host:0", "host:65536", "host:x", "10.0.0", "10.0.0.256", "1.2.3.4.5", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "::1", "[::1]:8286", "fe80::1%eth0", "a b", "-host", "host-", "a..b", "ho/st", "ho%st", strings.Repeat("a", 64),
	} {
		var e *Error
		if got, err := parseSeed(text); !errors.As(err, &e) || e.Kind != BadConfig {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzSeed(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "host:8286", "a.b-c_d.:1", "[::1]:8286", "1.2.3", ":0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSeed(text)
		if err != nil {
			return
		}
		if s.port == 0 || s.host == "" || len(s.host) > 253 || strings.ContainsAny(s.host, " /:%\n") {
			t.Fatalf("%q gave %+v", text, s)
		}
		again, err := parseSeed(s.String())
		if err != nil || again != s {
			t.Fatalf("%q gave %v, that gave %v, %v", text, s, again, err)
		}
	})
}

// nameTable is a resolver with a few addresses in it.
type nameTable map[string][]netip.Addr

func (n nameTable) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := n[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestSeedNameIsResolvedToUsableAddresses(t *testing.T) {
	r := nameTable{
		"host":  {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("0.0.0.0")},
		"six":   {netip.MustParseAddr("2001:db8::1")},
		"empty": {},
	}
	got, err := Seed{"host", 7}.resolve(t.Context(), r)
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7"), netip.MustParseAddrPort("10.0.0.2:7")}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("host: %v, %v", got, err)
	}
	for _, name := range []string{"six", "empty", "nobody"} {
		if got, err := (Seed{name, 7}).resolve(t.Context(), r); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// stuckName is a resolver that never answers, as one behind a broken network.
type stuckName struct{}

func (stuckName) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestResolverThatDoesNotAnswerIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, err := Seed{"stuck.example", 7}.resolve(t.Context(), stuckName{})
	if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "not resolved within 3s") || took > 2*resolveTimeout {
		t.Errorf("after %v: %v", took, err)
	}
}
