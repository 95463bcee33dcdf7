// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// The kernel carries pings, datagrams and superpackets between containers,
// both ways and without a daemon, on every kind of underlay. The counters of
// both ends agree.
func TestCarriesPackets(t *testing.T) {
	for _, u := range []struct{ name, script string }{
		{"superpackets on the wire", ""},
		{"segments on the wire", segmentsOnTheWire},
	} {
		t.Run(u.name, func(t *testing.T) {
			hosts := twoHosts(t)
			linktest.Script(t, u.script)
			ping(t, "c1", "10.244.2.2")
			transfer(t, "c1", "c2", "10.244.2.2", 64<<20)
			// Containers get superpackets on either underlay.
			segments := hosts[1].part.Total().Received.Packets
			if whole := received(t, "c2"); whole > segments/4 {
				t.Errorf("%d segments reached the container in %d packets", segments, whole)
			}
			transfer(t, "c2", "c1", "10.244.1.2", 64<<20)
			sumsAgree(t, hosts)
		})
	}
}

// sumsAgree compares what one end has sent with what the other one received.
func sumsAgree(t *testing.T, hosts [2]*end) {
	t.Helper()
	var texts []string
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a, b := hosts[0].part.Total(), hosts[1].part.Total()
		pa := hosts[0].part.Traffic(hosts[0].peer().Prefix)[hosts[0].peer().Prefix]
		texts = nil
		if a.Sent != b.Received || b.Sent != a.Received || pa.Sent != a.Sent || a.Sent.Packets == 0 {
			texts = append(texts, fmt.Sprintf("sent %v, received %v; back %v, %v; by peer %v", a.Sent, b.Received, b.Sent, a.Received, pa))
		}
		for _, l := range append(hosts[0].part.Left(), hosts[1].part.Left()...) {
			if l.Packets > 0 && l.Direction != bridge {
				texts = append(texts, fmt.Sprintf("%d packets left at %s: %s", l.Packets, l.Direction, l.Reason))
			}
		}
		if texts == nil {
			return
		}
	}
	t.Error(strings.Join(texts, "\n"))
}

// received is how many packets and superpackets a container's device got.
func received(t *testing.T, container string) uint64 {
	t.Helper()
	var links []struct {
		Stats struct{ RX struct{ Packets uint64 } } `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(linktest.Run(t, "ip -n "+container+" -j -s link show eth0")), &links); err != nil || len(links) != 1 {
		t.Fatalf("the device of %s: %v", container, err)
	}
	return links[0].Stats.RX.Packets
}

func ping(t testing.TB, from, to string) {
	t.Helper()
	linktest.Run(t, "ip netns exec "+from+" ping -q -n -c 5 -i 0.02 -W 1 "+to)
}

// transfer sends bytes over one TCP connection between namespaces, and compares
// what arrives.
func transfer(t testing.TB, from, to, address string, size int) {
	t.Helper()
	var listener net.Listener
	linktest.In(t, to, func() (err error) {
		listener, err = net.Listen("tcp4", address+":7000")
		return err
	})
	defer listener.Close()
	sum := make(chan string, 1)
	go func() {
		h := sha256.New()
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			_, err = io.Copy(h, conn)
		}
		sum <- fmt.Sprintf("%x %v", h.Sum(nil), err)
	}()
	h := sha256.New()
	linktest.In(t, from, func() error {
		conn, err := net.DialTimeout("tcp4", address+":7000", 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			return err
		}
		_, err = io.Copy(io.MultiWriter(h, conn), io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(size)))
		return err
	})
	if got, want := <-sum, fmt.Sprintf("%x <nil>", h.Sum(nil)); got != want {
		t.Errorf("received %s, sent %s", got, want)
	}
}

const segmentsOnTheWire = `
	ip netns exec h1 ethtool -K eth0 gso off tso off tx-udp_tnl-segmentation off
	ip netns exec h2 ethtool -K eth0 gso off tso off tx-udp_tnl-segmentation off`

// While programs are detached under traffic, no packet comes out of the pair of
// devices into the host's own stack, as one of that device: rules and routes
// would take it for something else.
func TestNoSegmentEscapesWhileProgramsGo(t *testing.T) {
	hosts := twoHosts(t)
	linktest.Script(t, segmentsOnTheWire+`
		ip netns exec h2 nft add table ip escaped
		ip netns exec h2 nft add chain ip escaped in { type filter hook prerouting priority raw ; }
		ip netns exec h2 nft add rule ip escaped in iifname flannel0gro1 counter`)
	h := hosts[1]
	stop := segments(t)
	for range 5 {
		before := h.part.Total().Received.Packets
		time.Sleep(300 * time.Millisecond)
		if h.part.Total().Received.Packets == before {
			t.Fatal("no segments come")
		}
		linktest.In(t, h.name, func() error { return h.part.Remove(t.Context()) })
		h.ensure(t)
	}
	stop()
	if rules := linktest.Run(t, "ip netns exec h2 nft list table ip escaped"); !strings.Contains(rules, "counter packets 0 ") {
		t.Errorf("packets came out of the pair:\n%s", rules)
	}
}

// Where another program has deleted the pair of devices, segments go on without
// it.
func TestSegmentsGoOnWithoutThePair(t *testing.T) {
	hosts := twoHosts(t)
	linktest.Script(t, segmentsOnTheWire+`
		ip -n h2 link delete flannel0gro0`)
	transfer(t, "c1", "c2", "10.244.2.2", 1<<20)
	sumsAgree(t, hosts)
}

// segments sends TCP segments from the first container to the second one until
// stop is called, whether answers come or not.
func segments(t *testing.T) (stop func()) {
	t.Helper()
	segment := make([]byte, packet.TCPHeaderLen+1000)
	copy(segment, packettest.Ports(7001, 7001))
	segment[12], segment[13] = packet.TCPHeaderLen/4<<4, 0x10 // ACK
	p := packettest.Spec{Src: "10.244.1.2", Dst: "10.244.2.2", Protocol: packet.TCP, Payload: segment}.Build()
	var fd int
	linktest.In(t, "c1", func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			if err := unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: p.Destination().As4()}); err != nil {
				ended <- err
				return
			}
			select {
			case <-end:
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		unix.Close(fd)
	}
}
