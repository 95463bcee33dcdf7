// SPDX-License-Identifier: Apache-2.0

//go:build e2e && sealed

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"flanneld/test/lab"
)

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
	p1, p2 := sealedDuo(t, l, h1, h2, ready)
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
	stop := startTorrent(t, conn, at(h2.Addr, 8285), 16_000, func(random *rand.Rand) []byte {
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
	sent, _ := stop()
	rejected := h2.Status().Security.Sealing.Rejected
	t.Logf("%d messages sent, refused %v, pings %v", sent, rejected, pings.Stop())
	if rejected["wrong-cluster-key"] < 1000 {
		t.Errorf("of %d messages few were refused: %v", sent, rejected)
	}
	if len(first) > 0 && rejected["stale"]+rejected["busy"]+rejected["rate-limited"]+rejected["crossed"] == 0 {
		t.Errorf("no repeated message was refused: %v", rejected)
	}
	nothingComes(t, conn)
}
