// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// What one side sends, the other receives, and both count the same.
func TestSocketsCountWhatGoesThroughThem(t *testing.T) {
	var here, there Traffic
	a, b := Counted(Kernel{}, &here), Counted(Kernel{}, &there)
	at := netip.MustParseAddrPort("127.0.0.1:0")
	listener, err := b.ListenTCP(at)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			accepted <- err
			return
		}
		defer conn.Close()
		if _, err = io.ReadFull(conn, make([]byte, 1000)); err == nil {
			_, err = conn.Write(make([]byte, 30))
		}
		accepted <- err
	}()
	conn, err := a.DialTCP(t.Context(), at.Addr(), listener.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, conn); n != 30 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}

	from, err := a.ListenUDP(at)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := b.ListenUDP(at)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, size := range []int{100, 7} {
		if _, err := from.WriteToUDPAddrPort(make([]byte, size), udpAddr(t, to)); err != nil {
			t.Fatal(err)
		}
		if n, _, _, err := to.Read(make([]byte, 200)); n != size || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}
	for name, counts := range map[string][2]uint64{
		"datagrams":            {here.DatagramsSent.Load(), there.DatagramsReceived.Load()},
		"bytes of datagrams":   {here.DatagramBytesSent.Load(), there.DatagramBytesReceived.Load()},
		"bytes of streams":     {here.StreamBytesSent.Load(), there.StreamBytesReceived.Load()},
		"bytes of its answers": {there.StreamBytesSent.Load(), here.StreamBytesReceived.Load()},
	} {
		want := map[string]uint64{"datagrams": 2, "bytes of datagrams": 107, "bytes of streams": 1000, "bytes of its answers": 30}[name]
		if counts[0] != want || counts[1] != want {
			t.Errorf("%s: %d sent, %d received, want %d", name, counts[0], counts[1], want)
		}
	}
	if here.DatagramsReceived.Load()+there.DatagramsSent.Load() != 0 {
		t.Error("datagrams are counted the wrong way")
	}
}

// udpAddr is what a counted socket is bound to.
func udpAddr(t *testing.T, d Datagrams) netip.AddrPort {
	t.Helper()
	local, ok := d.(countedDatagrams).Datagrams.(interface{ LocalAddr() net.Addr })
	if !ok {
		t.Fatal("the socket has no address")
	}
	return netip.MustParseAddrPort(local.LocalAddr().String())
}

// A port that is taken is told apart through the counting, too.
func TestCountedSocketsKeepTheirErrors(t *testing.T) {
	s := Counted(Kernel{}, new(Traffic))
	l, err := s.ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(s, netip.MustParseAddr("127.0.0.1"), tcpAddrPort(l.Addr()).Port())
	if failure := (*Error)(nil); !errors.As(err, &failure) || failure.Kind != PortTaken {
		t.Errorf("got %v", err)
	}
}
