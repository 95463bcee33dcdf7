// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// BenchmarkCost says what processor time a packet of 64 bytes takes, from the
// system call of one container to the socket of the other, by the short-cut and
// by the kernel's VXLAN, in turns. Unlike rates it can be measured while other
// programs run.
func BenchmarkCost(b *testing.B) {
	hosts := twoHosts(b)
	change := addVXLAN(b)
	b.Run("1 peer", func(b *testing.B) { benchmarkCost(b, change) })
	for _, h := range hosts {
		h.part.Update(manyPeers(1000), nil)
	}
	b.Run("1001 peers", func(b *testing.B) { benchmarkCost(b, change) })
}

// manyPeers are peers of which none is there.
func manyPeers(n int) (all []Peer) {
	for i := range n {
		all = append(all, Peer{
			Prefix:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 16 + byte(i>>8), byte(i), 0}), 24),
			Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 99}), 8285),
			Send:     true,
		})
	}
	return all
}

func prefixes(peers []Peer) (all []netip.Prefix) {
	for _, p := range peers {
		all = append(all, p.Prefix)
	}
	return all
}

// BenchmarkUpdate says how long 1,000 peers take that come, change and go, one
// operation each.
func BenchmarkUpdate(b *testing.B) {
	h := twoHosts(b)[0]
	all := manyPeers(1000)
	gone := prefixes(all)
	for b.Loop() {
		h.part.Update(all, nil)
		for i := range all {
			all[i].Send = !all[i].Send
		}
		h.part.Update(all, nil)
		h.part.Update(nil, gone)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/3000, "ns/change")
}

func benchmarkCost(b *testing.B, change func(verb string)) {
	linktest.Listen(b, "c2", "udp4", "10.244.2.2:7000") // not read: what is too much is dropped
	var conn net.Conn
	linktest.In(b, "c1", func() (err error) {
		conn, err = net.Dial("udp4", "10.244.2.2:7000")
		return err
	})
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		b.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	payload := make([]byte, 64-28)
	send := func(n int) time.Duration {
		began := linktest.ProcessorTime(b)
		err := raw.Control(func(fd uintptr) {
			for range n {
				_ = unix.Send(int(fd), payload, 0)
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		return linktest.ProcessorTime(b) - began
	}
	var short, vxlan time.Duration
	const turn = 2000
	n := 0
	for b.Loop() {
		n += turn
		short += send(turn)
		change("add")
		send(10) // neighbors
		vxlan += send(turn)
		change("delete")
		send(10)
	}
	b.ReportMetric(float64(short)/float64(n), "short-cut-ns/packet")
	b.ReportMetric(float64(vxlan)/float64(n), "vxlan-ns/packet")
	b.ReportMetric(float64(vxlan)/float64(short), "of-vxlan-rate")
}
