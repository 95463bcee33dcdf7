// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// The attacker is a host of the underlay that sees all datagrams at the switch,
// and sends what it likes to the data port. Pings go on meanwhile.
func TestReplayedAndForgedDatagramsChangeNothing(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := sealedTrio(t, l)
	attacker := l.Host()
	a, b := h1.Pod(), h2.Pod()
	a.Reachable(t, b.Addr, 5*time.Second)
	capture := l.Switch.Capture(t, "br0", "udp dst port 8285")
	pings := a.StartPinging(t, b.Addr, 20*time.Millisecond)
	target := at(h2.Addr, 8285)
	var seen [][]byte
	lab.Eventually(t, 10*time.Second, "datagrams to copy", func() error {
		seen = payloadsTo(capture.Frames(), h2.Addr)
		return lab.Expect(len(seen) >= 50, "%d datagrams", len(seen))
	})
	before := h2.Status()
	conn := attacker.ListenUDP(t, at(attacker.Addr, 7777))
	defer conn.Close()
	random := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func([]byte) []byte{
		"replayed": func(d []byte) []byte { return d },
		"flipped":  func(d []byte) []byte { d[random.IntN(len(d))] ^= 1 << random.IntN(8); return d },
		"cut":      func(d []byte) []byte { return d[:random.IntN(len(d))] },
		"ahead":    func(d []byte) []byte { binary.BigEndian.PutUint64(d[8:], 1<<40+random.Uint64N(1<<20)); return d },
		"garbage": func(d []byte) []byte {
			for i := range d[1:] {
				d[i+1] = byte(random.Uint32())
			}
			return d
		},
		"plain": func(d []byte) []byte { d[0] = 0x45; return d },
	}
	sent := 0
	for range 20 {
		for _, original := range seen {
			for _, change := range kinds {
				d := change(append([]byte(nil), original...))
				if _, err := conn.WriteToUDPAddrPort(d, target); err == nil {
					sent++
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	lab.Eventually(t, 10*time.Second, "the drops to be counted", func() error {
		after := h2.Status()
		dropped := map[string]uint64{}
		var all uint64
		for _, reason := range []string{"replayed", "forged", "not-sealed", "unknown-session"} {
			dropped[reason] = after.Drops["ingress-"+reason] - before.Drops["ingress-"+reason]
			all += dropped[reason]
		}
		enough := dropped["replayed"] > 0 && dropped["forged"] > 0 && dropped["not-sealed"] > 0 && all > uint64(sent)/2
		return lab.Expect(enough, "of %d datagrams %v were dropped", sent, dropped)
	})
	got := pings.Stop()
	if lost := fmt.Sprint(got); got.Lost > got.Sent/20 {
		t.Errorf("under attack: %s", lost)
	}
	if status := h1.Status(); status.Drops["ingress-unknown-sender"] > 0 {
		t.Errorf("drops %v", status.Drops)
	}
	nothingComes(t, conn)
	a.Reachable(t, b.Addr, 5*time.Second)
}

// nothingComes checks that no member has sent anything to an attacker's socket.
func nothingComes(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, from, err := conn.ReadFromUDPAddrPort(make([]byte, 2000)); err == nil {
		t.Errorf("%d bytes came from %s", n, from)
	}
}

// payloadsTo are the payloads of the UDP datagrams to an address.
func payloadsTo(frames [][]byte, to netip.Addr) (payloads [][]byte) {
	const ip, destination, payload = 14, 14 + 16, 14 + 20 + 8
	for _, f := range frames {
		if len(f) > payload+40 && f[ip] == 0x45 && netip.AddrFrom4([4]byte(f[destination:destination+4])) == to {
			payloads = append(payloads, f[payload:])
		}
	}
	return payloads
}
