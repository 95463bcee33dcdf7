// SPDX-License-Identifier: Apache-2.0

//go:build e2e && sealed

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// torrent sends datagrams at a rate until it is stopped.
type torrent struct {
	quit chan struct{}
	sent chan int
}

func startTorrent(conn *net.UDPConn, to netip.AddrPort, perSecond int, next func(*rand.Rand) []byte) *torrent {
	f := &torrent{make(chan struct{}), make(chan int, 1)}
	go func() {
		random, sent, start := rand.New(rand.NewPCG(1, 2)), 0, time.Now()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-f.quit:
				f.sent <- sent
				return
			case <-tick.C:
			}
			for due := int(time.Since(start).Seconds() * float64(perSecond)); sent < due; sent++ {
				_, _ = conn.WriteToUDPAddrPort(next(random), to)
			}
		}
	}()
	return f
}

// stop ends the flood, and returns how many datagrams it had.
func (f *torrent) stop() int {
	close(f.quit)
	return <-f.sent
}

// garbageHandshake is one of the three messages of a handshake, with random
// content.
func garbageHandshake(random *rand.Rand) []byte {
	size := []int{184, 124, 64}[random.IntN(3)]
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	b[0], b[2], b[3] = map[int]byte{184: 0x81, 124: 0x82, 64: 0x83}[size], 0, 0
	if size == 184 {
		b[1] = 1 // a suite that is known
	} else {
		b[1] = 0
	}
	return b
}

// A host without the key sends garbage, and repeats what it has seen members
// send. Pings go on, new sessions begin, and the memory stays as it is.
func TestFloodOfHandshakesDisturbsNoSession(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, attacker := l.Host(), l.Host(), l.Host()
	capture := l.Switch.Capture(t, "br0", "udp dst port 8285")
	sealedDuo(t, l, h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	session(t, h1, h2)
	var first [][]byte // messages 1 to the second host
	for _, payload := range payloadsTo(capture.Frames(), h2.Addr) {
		if len(payload) == 184 && payload[0] == 0x81 {
			first = append(first, payload)
		}
	}
	conn := attacker.ListenUDP(t, at(attacker.Addr, 7777))
	defer conn.Close()
	pings := p1.StartPinging(t, p2.Addr, 20*time.Millisecond)
	attack := startTorrent(conn, at(h2.Addr, 8285), 16_000, func(random *rand.Rand) []byte {
		if len(first) > 0 && random.IntN(4) == 0 {
			return first[random.IntN(len(first))]
		}
		return garbageHandshake(random)
	})
	time.Sleep(3 * time.Second)
	// The first host has forgotten its sessions, and gets new ones.
	h1.Daemon.Kill()
	h1.Start("--sealed").WaitReady(ready)
	p1.Reachable(t, p2.Addr, ready)
	sent := attack.stop()
	rejected := h2.Status().Security.Sealing.Rejected
	t.Logf("%d messages sent, refused %v, pings %v", sent, rejected, pings.Stop())
	if rejected["wrong-cluster-key"] < 1000 {
		t.Errorf("of %d messages few were refused: %v", sent, rejected)
	}
	if len(first) > 0 && rejected["stale"]+rejected["busy"]+rejected["rate-limited"]+rejected["crossed"] == 0 {
		t.Errorf("no repeated message was refused: %v", rejected)
	}
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, from, err := conn.ReadFromUDPAddrPort(make([]byte, 2000)); err == nil {
		t.Error(fmt.Sprintf("%d bytes came from %s", n, from))
	}
}
