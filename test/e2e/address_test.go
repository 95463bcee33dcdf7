// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// stream is a TCP connection over which random bytes go until it is ended.
type stream struct {
	quit   chan struct{}
	result chan error
	tick   chan struct{} // a token for every megabyte, if a receiver takes it
}

// pour starts a stream from one pod to another.
func pour(t *testing.T, from, to *lab.Pod, port uint16) *stream {
	t.Helper()
	listener := to.Listen(t, at(to.Addr, port))
	t.Cleanup(func() { listener.Close() })
	conn, err := from.Dial(at(to.Addr, port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan [32]byte, 1)
	go func() {
		defer close(received)
		in, err := listener.Accept()
		if err != nil {
			return
		}
		defer in.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, in); err == nil {
			received <- [32]byte(sum.Sum(nil))
		}
	}()
	s := &stream{quit: make(chan struct{}), result: make(chan error, 1), tick: make(chan struct{})}
	go func() {
		defer conn.Close()
		sent, err := s.write(conn)
		conn.Close()
		if got, ok := <-received; err == nil && (!ok || got != sent) {
			err = fmt.Errorf("what was received is not what was sent")
		}
		s.result <- err
	}()
	return s
}

// write sends until the stream is ended and returns the hash of what was sent.
func (s *stream) write(conn interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}) ([32]byte, error) {
	sum, source, buf := sha256.New(), rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for {
		select {
		case <-s.quit:
			return [32]byte(sum.Sum(nil)), nil
		case s.tick <- struct{}{}:
		default:
		}
		source.Read(buf)
		sum.Write(buf)
		conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
		if _, err := conn.Write(buf); err != nil {
			return [32]byte{}, err
		}
	}
}

// flows waits until some more megabytes have gone, and returns how long that
// took.
func (s *stream) flows(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	for range 5 {
		select {
		case <-s.tick:
		case err := <-s.result:
			t.Fatalf("the transfer broke: %v", err)
		case <-time.After(30 * time.Second):
			t.Fatal("the transfer stands still")
		}
	}
	return time.Since(start)
}

// end finishes the transfer; every byte has to have come as it was sent.
func (s *stream) end(t *testing.T) {
	t.Helper()
	close(s.quit)
	select {
	case err := <-s.result:
		if err != nil {
			t.Errorf("the transfer: %v", err)
		}
	case <-time.After(40 * time.Second):
		t.Error("the transfer does not end")
	}
}

// readdress gives a host another address on the underlay, as a DHCP server
// would: the old one goes first.
func readdress(t *testing.T, h *lab.Host, to string) {
	t.Helper()
	h.Exec(t, "ip", "address", "flush", "dev", "eth0")
	h.Exec(t, "ip", "address", "add", to+"/24", "dev", "eth0")
	h.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
}

// TestAddressChangesUnderARunningDaemon does not run beside others: what it
// measures is time.
func TestAddressChangesUnderARunningDaemon(t *testing.T) {
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	lease := h2.Lease()
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	out, in := pour(t, p2, p1, 7001), pour(t, p3, p2, 7002)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7003))
	out.flows(t)
	in.flows(t)
	for _, address := range []string{"192.168.50.72", "192.168.50.73"} {
		start := time.Now()
		readdress(t, h2, address)
		for _, h := range []*lab.Host{h1, h3} {
			lab.Eventually(t, 15*time.Second, h.NodeName+" to know the new endpoint", func() error {
				nodes, err := h.Nodes()
				if err != nil {
					return err
				}
				n := nodes.Find("host2")
				return lab.Expect(n.Endpoint == address+":8285" && n.State == "alive" && n.Subnet == lease.String(), "%+v", n)
			})
		}
		known := time.Since(start)
		out.flows(t)
		in.flows(t)
		t.Logf("to %s: known to the others after %v, both transfers go on after %v", address, known.Round(10*time.Millisecond), time.Since(start).Round(10*time.Millisecond))
	}
	out.end(t)
	in.end(t)
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
	l.WaitConverged(3)
	if h2.Lease() != lease || h2.Daemon.Ended() {
		t.Errorf("host2 has %v, it had %v", h2.Lease(), lease)
	}
	if s := h2.Status(); s.Underlay.Address != "192.168.50.73" || s.Endpoint != "192.168.50.73:8285" || s.Gossip != "192.168.50.73:8286" {
		t.Errorf("its status says %+v, endpoint %s, gossip %s", s.Underlay, s.Endpoint, s.Gossip)
	}
	for _, h := range []*lab.Host{h1, h2, h3} {
		if log := h.Daemon.Log(); containsFold(log, "twin") || containsFold(log, "node's identity") || containsFold(log, "lease lost") {
			t.Errorf("%s mistook the move:\n%s", h.NodeName, log)
		}
	}
	// The new address is what the next start finds the others by, too.
	h2.Daemon.Kill()
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	p1.Reachable(t, p2.Addr, 10*time.Second)
	if h2.Lease() != lease {
		t.Errorf("after a restart host2 has %v, it had %v", h2.Lease(), lease)
	}
}

func TestAddressThatIsAwayForAWhileCostsNothing(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	lease := h2.Lease()
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
	away := func(take, giveBack string) {
		before := len(h2.Daemon.Log())
		h2.Exec(t, "sh", "-c", take)
		h2.Daemon.WaitLog("staying at the address in use", 10*time.Second)
		<-time.After(4 * time.Second) // to see that nothing more happens
		if said := strings.Count(h2.Daemon.Log()[before:], "staying at the address in use"); said != 1 {
			t.Errorf("%s: said %d times:\n%s", take, said, h2.Daemon.Log()[before:])
		}
		h2.Exec(t, "sh", "-c", giveBack)
		lab.Eventually(t, 10*time.Second, "the address to be back", func() error {
			return lab.Expect(strings.Contains(h2.Daemon.Log()[before:], "the underlay address is back"), "%s", h2.Daemon.Log()[before:])
		})
		talk.GoesOn(t, 20*time.Second, 20)
	}
	route := "ip route replace default via " + lab.Gateway.String()
	away("ip address flush dev eth0", fmt.Sprintf("ip address add %s/24 dev eth0; %s", h2.Addr, route))
	away("ip link set eth0 down", "ip link set eth0 up; "+route)
	if err := talk.Stop(); err != nil {
		t.Errorf("the conversation broke: %v", err)
	}
	if s := h2.Status(); h2.Daemon.Ended() || h2.Lease() != lease || s.Endpoint != netip.AddrPortFrom(h2.Addr, 8285).String() {
		t.Errorf("host2 has %v at %s, it had %v", h2.Lease(), s.Endpoint, lease)
	}
}

func TestPublicAddressIsAnnouncedWhateverTheHostsOwn(t *testing.T) {
	t.Parallel()
	_, h := founder(t, "--public-ip", "192.168.50.200")
	readdress(t, h, "192.168.50.72")
	lab.Eventually(t, 10*time.Second, "the daemon to move", func() error {
		s := h.Status()
		return lab.Expect(s.Underlay.Address == "192.168.50.72" && s.Endpoint == "192.168.50.200:8285", "%+v at %s", s.Underlay, s.Endpoint)
	})
	sockets := h.Exec(t, "ss", "-Hlun")
	if !strings.Contains(sockets, "192.168.50.72:8285") || !strings.Contains(sockets, "192.168.50.72:8286") || strings.Contains(sockets, h.Addr.String()+":") {
		t.Errorf("it listens at\n%s", sockets)
	}
}
