// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers questions for SRV records over UDP, and returns its
// address.
func nameServer(t *testing.T, records map[string][]dnsmessage.SRVResource) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
			found := records[q.Name.String()]
			if len(found) == 0 || q.Type != dnsmessage.TypeSRV {
				answer.RCode = dnsmessage.RCodeNameError
			}
			for _, r := range found {
				answer.Answers = append(answer.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET, TTL: 60}, Body: &r})
			}
			if packed, err := answer.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// Go's own resolver asks a name server for the whole name.
func TestSRVRecordsComeFromDNS(t *testing.T) {
	record := func(host string, port, priority uint16) dnsmessage.SRVResource {
		return dnsmessage.SRVResource{Target: dnsmessage.MustNewName(host), Port: port, Priority: priority}
	}
	server := nameServer(t, map[string][]dnsmessage.SRVResource{
		"_flanneld._tcp.example.org.": {record("b.example.org.", 9000, 20), record("a.example.org.", 8286, 10)},
		"_blue._tcp.example.org.":     {record("c.example.org.", 8286, 0)},
		"_none._tcp.example.org.":     {record(".", 0, 0)},
	})
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", server)
	}}
	for name, want := range map[string][]string{
		"example.org":             {"a.example.org:8286", "b.example.org:9000"},
		"_blue._tcp.example.org.": {"c.example.org:8286"},
	} {
		if seeds, err := (SRV{name, resolver}).Seeds(t.Context()); err != nil || !slices.Equal(seeds, want) {
			t.Errorf("%s: %v, %v; want %v", name, seeds, err, want)
		}
	}
	for name, says := range map[string]string{
		"_none._tcp.example.org.":  "it names no node",
		"_other._tcp.example.org.": "there are no SRV records of _other._tcp.example.org.: make some",
	} {
		if seeds, err := (SRV{name, resolver}).Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v; want %q", name, seeds, err, says)
		}
	}
}
