package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
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
		if got, err := parseSeed(text); !errors.Is(err, ErrConfig) {
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

// names is a resolver with a few names in it.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := n[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestSeedNameIsResolvedToUsableAddresses(t *testing.T) {
	r := names{
		"host":  {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("0.0.0.0")},
		"six":   {netip.MustParseAddr("2001:db8::1")},
		"empty": {},
	}
	got, err := seed{"host", 7}.resolve(t.Context(), r)
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7"), netip.MustParseAddrPort("10.0.0.2:7")}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("host: %v, %v", got, err)
	}
	for _, name := range []string{"six", "empty", "nobody"} {
		if got, err := (seed{name, 7}).resolve(t.Context(), r); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSeedIsFoundByName(t *testing.T) {
	t.Parallel()
	first := newHost(t, nil)
	first.start()
	first.leased()
	second := newHost(t, nil)
	second.config.Join = []string{fmt.Sprintf("first.example:%d", testPort)}
	node, err := Open(second.config)
	if err != nil {
		t.Fatal(err)
	}
	node.resolver = names{"first.example": {first.config.Advertise}}
	second.run(node)
	second.leased()
}

// seedThat listens where a seed is told to be, and does f with every connection.
func seedThat(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", netip.AddrPortFrom(nextHost(), testPort).String())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestSeedThatIsNotFlanneldIsNamedAndNothingIsFounded(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte(text))
		}
	}
	refused := netip.AddrPortFrom(nextHost(), testPort).String()
	for _, c := range []struct{ what, seed, says string }{
		{"SSH", seedThat(t, answer("SSH-2.0-OpenSSH_9.2\r\n")), "does not speak flanneld's gossip"},
		{"HTTP", seedThat(t, answer("HTTP/1.1 400 Bad Request\r\n\r\n")), "does not speak flanneld's gossip"},
		{"a length that lies", seedThat(t, answer("\xf4\x0aflanneld 2\x00\xff\xff\xff\xff")), "does not speak flanneld's gossip"},
		{"zeros", seedThat(t, answer(strings.Repeat("\x00", 64))), "does not speak flanneld's gossip"},
		{"closes", seedThat(t, func(net.Conn) {}), "it closes the connection"},
		{"says nothing", seedThat(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "says nothing"},
		{"nobody", refused, "connection refused"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, nil)
			h.config.Join = []string{c.seed}
			h.start()
			h.logs("seed cannot be joined", "seed="+c.seed, c.says)
			s := h.until("it says what it waits for", func(s *Snapshot) bool { return strings.Contains(s.Waiting, c.says) })
			if s.Lease != Joining || s.Network.Prefix.IsValid() || s.Self.Lease.Prefix.IsValid() {
				t.Errorf("%v in network %v", s.Lease, s.Network)
			}
			h.stop()
			if n := strings.Count(h.log.String(), "seed cannot be joined"); n > 2 {
				t.Errorf("said %d times", n)
			}
		})
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
	_, err := seed{"stuck.example", 7}.resolve(t.Context(), stuckName{})
	if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "not resolved within 3s") || took > 2*resolveTimeout {
		t.Errorf("after %v: %v", took, err)
	}
}
