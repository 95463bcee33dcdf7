// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// bytesVariable says how much goes through the overlay in each run, all ways
// together.
const bytesVariable = "FLANNELD_HASH_BYTES"

// TCP runs over an underlay that loses, doubles and reorders frames. The data
// has the same hash at the end, whatever offloads the two ends use and by
// whatever path it travels. One end gets single datagrams, the other what its
// device has joined.
func TestHashOverABadUnderlay(t *testing.T) {
	t.Parallel()
	for _, c := range []badUnderlay{
		{"all at both ends", "udp", "auto", "auto", 1e9},
		{"none at both ends", "udp", "off", "off", 2e8},
		{"none at one end", "udp", "auto", "off", 2e8},
		{"none at the other end", "udp", "off", "auto", 2e8},
		{"by VXLAN", "vxlan,udp", "auto", "auto", 2e8},
		{"directly", "host-gw,udp", "auto", "auto", 2e8},
	} {
		t.Run(c.name, c.hash)
	}
}

type badUnderlay struct {
	name, backend string
	one, two      string // offloads of the two ends
	bytes         int64  // both ways together
}

func (c badUnderlay) hash(t *testing.T) {
	volume := atLeast(t, c.bytes)
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	relay := l.Relay(h1, lab.Mischief{Loss: 1000, Duplication: 500, Reordering: 200, Seed: uint64(volume)})
	// The lanes are under test. By the short-cut the kernel does their work.
	h1.Start("--backend", c.backend, "--offload", c.one, "--shortcut", "off").WaitReady(ready)
	h2.Start("--backend", c.backend, "--offload", c.two, "--shortcut", "off", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	kernelCarries(t, c.backend, h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	there := lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), volume/2)
	back := lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), volume/2)
	datagramsOverABadUnderlay(t, p1, p2)
	datagramsOverABadUnderlay(t, p2, p1)
	done := relay.Count()
	t.Logf("%d bytes in %v and %v: %+v", volume, there.Time, back.Time, done)
	if min(done.Lost, done.Doubled, done.Overtaken) < volume/1e7 {
		t.Errorf("hardly any mischief: %+v", done)
	}
	probes := int64(0) // superpackets that a packet socket sends past the device's limit
	if c.backend != "udp" {
		probes = 20
	}
	if done.Unsegmented > probes {
		t.Errorf("%d trains were on the wire in one piece", done.Unsegmented)
	}
	kernelCarries(t, c.backend, h1, h2)
}

// The short-cut of both hosts is switched about every second while the data is
// under way.
func TestHashWhileTheShortcutIsSwitched(t *testing.T) {
	t.Parallel()
	volume := atLeast(t, 1e8)
	p1, p2 := shortcutted(t)
	stop, done := make(chan struct{}), make(chan int, 1)
	go func() {
		switches := 0
		for {
			select {
			case <-stop:
				done <- switches
				return
			case <-time.After(700 * time.Millisecond):
			}
			h := []*lab.Host{p1.Host, p2.Host}[switches/2%2]
			if h.Flanneld("shortcut", []string{"off", "auto"}[switches%2]).Status == 0 {
				switches++
			}
		}
	}()
	for sent := int64(0); sent < volume; sent += 5e7 {
		lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 2.5e7)
		lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 2.5e7)
	}
	close(stop)
	kernel, all := kernelCarried(p1.Host)
	t.Logf("%d bytes over %d switches, %d of %d by the kernel", volume, <-done, kernel.Bytes, all.Bytes)
	if kernel.Bytes == 0 {
		t.Error("the kernel carried nothing")
	}
}

// datagramsOverABadUnderlay sends numbered datagrams in trains. Some get lost
// on the way, but none may be changed.
func datagramsOverABadUnderlay(t *testing.T, from, to *lab.Pod) {
	t.Helper()
	const trains, each, size = 50, 40, 1000
	sink := to.ListenUDP(t, at(to.Addr, 7000))
	defer sink.Close()
	source := from.ListenUDP(t, at(from.Addr, 0))
	defer source.Close()
	setOption(t, source, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	seen, buf := map[int]bool{}, make([]byte, 1<<16)
	for i := range trains {
		var train []byte
		for j := range each {
			train = append(train, numbered(i*each+j, size)...)
		}
		if _, err := source.WriteToUDPAddrPort(train, at(to.Addr, 7000)); err != nil {
			t.Fatal(err)
		}
		// The next goes when this one has come: no queue on the way overflows.
		for range each {
			sink.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, _, err := sink.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			number := int(binary.BigEndian.Uint32(buf))
			if !bytes.Equal(buf[:n], numbered(number, size)) {
				t.Errorf("from %s to %s: datagram %d of %d bytes was changed on its way", from.Name, to.Name, number, n)
			}
			seen[number] = true
		}
	}
	if len(seen) < trains*each*9/10 {
		t.Errorf("from %s to %s: %d datagrams of %d arrived", from.Name, to.Name, len(seen), trains*each)
	}
}

// numbered is a number and size-4 bytes that follow from it.
func numbered(n, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(b[4:])
	binary.BigEndian.PutUint32(b, uint32(n))
	return b
}

// atLeast is n, or more if the environment asks for it.
func atLeast(t *testing.T, n int64) int64 {
	t.Helper()
	text := os.Getenv(bytesVariable)
	if text == "" {
		return n
	}
	wish, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%s=%s: %v", bytesVariable, text, err)
	}
	return max(n, int64(wish))
}
