// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// names is a resolver with a few names in it.
type names map[string][]netip.Addr

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := n[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestSeedIsFoundByName(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
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

// seedThat listens where a seed is told to be, and does f with every
// connection.
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
		{"says nothing", seedThat(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "sends nothing"},
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
