// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"flanneld/test/lab"
)

// ready is how long a daemon may take to be ready on a busy machine.
const ready = 20 * time.Second

// example is the network configuration that is installed.
func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../dist/10-flanneld.conflist")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkable is the example without the plugin bandwidth. Debian's panics in
// CHECK if a container has no limit.
func checkable(t *testing.T) string {
	t.Helper()
	var list map[string]any
	if err := json.Unmarshal([]byte(example(t)), &list); err != nil {
		t.Fatal(err)
	}
	list["plugins"] = list["plugins"].([]any)[:2]
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pair is two hosts with daemons that form one network.
func pair(l *lab.Lab) (h1, h2 *lab.Host) {
	h1, h2 = l.Host(), l.Host()
	h1.Start().WaitReady(ready)
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	return h1, h2
}

// ownAddresses sends data both ways, and compares the sources that arrive.
func ownAddresses(t *testing.T, a, b *lab.Pod) {
	t.Helper()
	for _, way := range [][2]*lab.Pod{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		from.Reachable(t, to.Addr, 10*time.Second)
		if got := lab.SendTCP(t, from.Namespace, to.Namespace, netip.AddrPortFrom(to.Addr, 7000), 1<<20); got.Source != from.Addr {
			t.Errorf("data from %v arrives from %v", from.Addr, got.Source)
		}
	}
}

// failed checks the code and the words of a plugin's error.
func failed(t *testing.T, what string, err error, code uint, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q is not in %q", what, word, err)
		}
	}
	if failure := (*types.Error)(nil); !errors.As(err, &failure) || failure.Code != code {
		t.Errorf("%s: want code %d, got %#v", what, code, err)
	}
}

// TestCNI attaches containers with the example and Debian's plugins.
func TestCNI(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	c1, c2 := h1.CNI(example(t), lab.DebianCNI), h2.CNI(example(t), lab.DebianCNI)
	p1, p2 := c1.Add(nil), c2.Add(map[int]int{8080: 80})
	if !h1.Lease().Contains(p1.Addr) || !h2.Lease().Contains(p2.Addr) {
		t.Fatalf("%v and %v are not in the leases %v and %v", p1.Addr, p2.Addr, h1.Lease(), h2.Lease())
	}
	ownAddresses(t, p1, p2)
	t.Run("a mapped port leads to the container", func(t *testing.T) {
		lab.SendTCPVia(t, h1.Namespace, p2.Namespace, netip.AddrPortFrom(h2.Addr, 8080), netip.AddrPortFrom(p2.Addr, 80), 1<<16)
		lab.SendTCPVia(t, p1.Namespace, p2.Namespace, netip.AddrPortFrom(h2.Addr, 8080), netip.AddrPortFrom(p2.Addr, 80), 1<<16)
	})
	t.Run("the outside is reached", func(t *testing.T) { p1.Reachable(t, lab.OutsideAddress, 5*time.Second) })
	t.Run("the MTU is the overlay's", func(t *testing.T) {
		if got, want := p1.Exec(t, "ip", "link", "show", "eth0"), " mtu "+h1.SubnetFile()["FLANNEL_MTU"]+" "; !strings.Contains(got, want) {
			t.Errorf("not%sin %s", want, got)
		}
	})
	t.Run("CHECK finds nothing", func(t *testing.T) {
		for _, c := range []struct {
			*lab.CNI
			pod *lab.Pod
		}{{c1, p1}, {c2, p2}} {
			c.Configure(checkable(t))
			if err := c.Check(c.pod); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("DEL frees the address, also twice and without the namespace", func(t *testing.T) {
		gone := c1.Add(nil)
		if n := len(c1.Reserved()); n != 2 {
			t.Fatalf("%d addresses are reserved", n)
		}
		gone.Remove()
		for range 2 {
			if err := c1.Delete(gone); err != nil {
				t.Fatal(err)
			}
		}
		if got := c1.Reserved(); len(got) != 1 || got[0] != p1.Addr {
			t.Errorf("reserved: %v", got)
		}
	})
	t.Run("ADD needs no daemon", func(t *testing.T) {
		h1.Daemon.Stop()
		p := c1.Add(nil)
		if err := c1.Check(p); err != nil {
			t.Error(err)
		}
		h1.Start().WaitReady(ready)
		ownAddresses(t, p, p2)
	})
}

// TestCNILeaseChanged: containers of an earlier lease are found by CHECK, and
// the plugin says how new ones can be added.
func TestCNILeaseChanged(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	h.Start("--subnet", "10.244.7.0/24").WaitReady(ready)
	c := h.CNI(example(t), lab.DebianCNI)
	old := c.Add(nil)
	if got := h.Flanneld("leave"); got.Status != 0 {
		t.Fatalf("leave: %+v", got)
	}
	h.Daemon.WaitEnd(ready)
	failed(t, "CHECK without a lease", c.Check(old), 11, "subnet.env is not there", "flanneld status")
	_, err := c.TryAdd("early", old.Path(), nil)
	failed(t, "ADD without a lease", err, 11, "subnet.env is not there")

	h.Start("--subnet", "10.244.9.0/24").WaitReady(ready)
	failed(t, "CHECK with another lease", c.Check(old), 100, "10.244.7.0/24", "10.244.9.0/24", "start the container anew")
	fresh := l.Namespace("fresh")
	_, err = c.TryAdd("fresh", fresh.Path(), nil)
	failed(t, "ADD on the old bridge", err, 999, "10.244.7.1/24", "10.244.9.0/24", "ip link delete cni0")
	if err := c.Delete(old); err != nil {
		t.Fatal(err)
	}
	if got := c.Reserved(); len(got) != 0 {
		t.Errorf("the failed ADD and the old container hold %v", got)
	}
	h.Exec(t, "ip", "link", "delete", "cni0")
	if p := c.Add(nil); !h.Lease().Contains(p.Addr) {
		t.Errorf("%v is not in %v", p.Addr, h.Lease())
	}
}
