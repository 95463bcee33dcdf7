// SPDX-License-Identifier: Apache-2.0

//go:build page

package page

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"flanneld/test/lab"
)

const ready = time.Minute

func TestMain(m *testing.M) {
	lab.Enter(lab.Build)
	os.Exit(m.Run())
}

// start starts a daemon that serves its page to the underlay.
func start(h *lab.Host, args ...string) {
	h.Start(append([]string{"--metrics", netip.AddrPortFrom(h.Addr, lab.MetricsPort).String()}, args...)...).WaitReady(ready)
}

// meshOf makes n hosts that form one network.
func meshOf(t *testing.T, l *lab.Lab, n int) []*lab.Host {
	t.Helper()
	var hosts []*lab.Host
	for i := range n {
		h := l.Host()
		hosts = append(hosts, h)
		if i > 0 {
			start(h, "--join", hosts[0].Addr.String(), "--backend", backends[i%len(backends)])
		} else {
			start(h, "--backend", backends[0])
		}
	}
	lab.WaitAgreed(t, hosts, n, ready)
	return hosts
}

// backends are those of the hosts, in turn.
var backends = []string{"udp", "udp", "auto", "udp", "vxlan,udp"}

// stream sends TCP from one pod to another until the test ends, so many Mbit/s.
func stream(t *testing.T, from, to *lab.Pod, mbits int) {
	t.Helper()
	for _, c := range []struct {
		at  *lab.Pod
		cmd *exec.Cmd
	}{
		{to, exec.Command("iperf3", "-s", "-1")},
		{from, exec.Command("iperf3", "-c", to.Addr.String(), "-t", "600", "-b", fmt.Sprint(mbits, "M"))},
	} {
		if err := c.at.Start(c.cmd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
		time.Sleep(500 * time.Millisecond) // the server first
	}
}

// A healthy network, with traffic, in all looks.
func TestAHealthyNetwork(t *testing.T) {
	l := lab.New(t)
	hosts := meshOf(t, l, 5)
	drop(t, hosts[0])
	a, b, c := hosts[0].Pod(), hosts[1].Pod(), hosts[2].Pod()
	stream(t, a, b, 6)
	stream(t, c, a, 2)
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(4), ready)
	w.shows("all cells", "document.querySelectorAll('.matrix td.works').length === 20", ready)
	w.saysAll("#verdict", ready, "all is well")
	w.saysAll("#tiles", ready, "5 of 5", "20 of 20", "5 reporting", "bit/s")
	w.saysAll("#leases", ready, "host1 (this node)", hosts[1].Lease().String(), "192.168.50.12:8285", "of 1")
	w.saysAll("#drops", ready, "no route", "No node holds a subnet", "flanneld route get ADDRESS")
	w.saysAll("#events", ready, "lease", hosts[0].Lease().String())
	if eval[bool](w, "document.getElementById('wrong').checkVisibility()") {
		t.Errorf("a healthy network has something wrong: %q", w.text("#wrong"))
	}
	time.Sleep(45 * time.Second) // traffic to see
	w.saysAll("#talkers", ready, "host2", "Mbit/s")
	w.saysAll("#chart-key", ready, "Mbit/s")
	w.picture("page", desktop)
	w.accessible("light")
	w.picture("dark", night)
	w.accessible("dark")
	w.picture("phone", phone)
	w.accessible("phone")
	if wide := eval[float64](w, "document.documentElement.scrollWidth"); wide > float64(phone.width) {
		t.Errorf("on a phone the page is %v wide", wide)
	}
	w.picture("print", paper)
	w.as(desktop)

	// The keyboard: Tab reaches the matrix once, arrows walk in it.
	w.run(chromedp.Focus(".matrix td[tabindex='0']"), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowRight))
	w.saysAll("#mesh-cell", ready, "host2 to host3: packets arrive", "ms", "probes lost")
	w.run(chromedp.KeyEvent(kb.Enter))
	w.shows("the node of the row", "document.getElementById('chosen').selectedOptions[0].text === 'host2'", ready)
	w.saysAll("#details", ready, "Offloads", "udp-gro")
	if n := eval[int](w, "document.querySelectorAll('.matrix [tabindex=\"0\"]').length"); n != 1 {
		t.Errorf("%d cells are in the tab order", n)
	}

	// The daemon goes away, and comes back.
	hosts[0].Daemon.Stop()
	w.saysAll("#verdict", ready, "not connected")
	start(hosts[0], "--join", hosts[1].Addr.String())
	w.saysAll("#verdict", ready, "all is well")
	w.requests.forgetComplaints()
	w.clean(hosts[0])
}

// reported is true when so many nodes have answered or not.
func reported(n int) string { return fmt.Sprintf("document.documentElement.dataset.ready === '%d'", n) }

// drop makes a host drop some packets: their destination is in no lease.
func drop(t *testing.T, h *lab.Host) {
	t.Helper()
	h.Run(t, "ping", "-c", "3", "-i", "0.2", "-W", "1", "10.244.255.9")
}

// What is wrong anywhere is on the page of any node: a dead host, a cut, a
// conflict. A node's name is text, whatever is in it.
func TestWhatIsWrongIsShown(t *testing.T) {
	l := lab.New(t)
	hosts := meshOf(t, l, 4)
	evil := l.Host()
	start(evil, "--join", hosts[0].Addr.String(), "--node-name", evilName, "--static-peer", hosts[2].Lease().String()+"=192.168.50.99:8285")
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(4), ready)
	w.saysAll("#mesh", ready, evilName)
	w.saysAll("#problems", ready, evilName, hosts[2].Lease().String(), "--static-peer")
	w.saysAll("#leases", ready, evilName)

	hosts[3].Daemon.Kill()
	l.Drop(fmt.Sprintf("iifname . oifname { %q . %q, %q . %q } udp dport 8285", "host2", "host3", "host3", "host2"))
	w.saysAll("#problems", time.Minute, "host4 is dead", "flanneld forget "+short(t, hosts[0], "host4"))
	w.shows("the cut", "document.querySelectorAll('.matrix td.failed').length >= 2", 2*time.Minute)
	w.saysAll("#problems", time.Minute, "host2", "host3")
	w.saysAll("#verdict", ready, "problem")
	for kind, least := range map[string]int{"dead": 2, "silent": 3, "works": 6} {
		if n := w.cells(kind); n < least {
			t.Errorf("%d cells are %s, not %d", n, kind, least)
		}
	}
	if eval[bool](w, "'pwned' in window || document.querySelector('main img, main b, main script') !== null") {
		t.Error("a node's name became markup")
	}
	w.picture("wrong", desktop)
	w.accessible("what is wrong")
	w.picture("wrong-dark", night)
	w.accessible("what is wrong, in the dark")

	l.Mend()
	w.shows("the end of the cut", "document.querySelectorAll('.matrix td.failed').length === 0", 2*time.Minute)
	w.clean(hosts[0])
}

const evilName = `<img/src=x/onerror=window.pwned=1><b>`

// short is the beginning of a node's ID.
func short(t *testing.T, at *lab.Host, name string) string {
	t.Helper()
	nodes, err := at.Table()
	if err != nil {
		t.Fatal(err)
	}
	n := nodes.Find(name)
	if n.ID == "" {
		t.Fatalf("%s is not in the table", name)
	}
	return n.ID[:8]
}

// A claim that cannot complete says what it waits for, and what to type.
func TestAWaitingClaimIsShown(t *testing.T) {
	l := lab.New(t)
	hosts := meshOf(t, l, 3)
	id, other := short(t, hosts[0], "host2"), short(t, hosts[0], "host3")
	hosts[1].Daemon.Kill()
	hosts[2].Daemon.Kill()
	lab.Eventually(t, time.Minute, "host2 and host3 to be dead", func() error {
		return lab.Agreed(hosts[:1], 1)
	})
	h := l.Host()
	h.Start("--metrics", netip.AddrPortFrom(h.Addr, lab.MetricsPort).String(), "--join", hosts[0].Addr.String())
	w := open(t, l)
	says(t, l, h)
	w.visit(h)
	w.saysAll("#problems", time.Minute, "promises for 10.244.", "host2", "host3", "flanneld forget "+id)
	w.saysAll("#tiles", ready, "lease claiming")
	if n := eval[int](w, "document.querySelectorAll('#problems .grave').length"); n == 0 {
		t.Error("a claim that waits is not in red")
	}
	w.picture("claim", desktop)
	w.accessible("a claim")
	hosts[0].MustFlanneld("forget", id)
	hosts[0].MustFlanneld("forget", other)
	w.saysAll("#verdict", time.Minute, "all is well")
	w.clean(h)
}

// says waits until the web server of a host answers.
func says(t *testing.T, l *lab.Lab, h *lab.Host) {
	t.Helper()
	lab.Eventually(t, ready, h.NodeName+" to answer", func() error {
		_, _, err := l.Switch.Get(netip.AddrPortFrom(h.Addr, lab.MetricsPort), "/healthz")
		return err
	})
}

// Sixty nodes are a matrix, more are a list. What the questions cost is
// bounded.
func TestSixtyNodesAndMore(t *testing.T) {
	l := lab.New(t)
	hosts := l.Network(60, "--metrics", netip.AddrPortFrom(netip.IPv4Unspecified(), lab.MetricsPort).String())
	l.Block(lab.Between(hosts[7:8], hosts[30:33])...)
	alone := gossipRate(t, hosts[0])
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(59), 2*time.Minute)
	w.shows("the matrix", "document.querySelectorAll('.matrix.compact td.works').length >= 3400", 3*time.Minute)
	w.shows("the cut", "document.querySelectorAll('.matrix td.failed, .matrix td.dead').length >= 6", 3*time.Minute)
	shown := gossipRate(t, hosts[0])
	t.Logf("gossip of the node that shows 60: %.1f kB/s out and %.1f in without a page, %.1f and %.1f with", alone[0], alone[1], shown[0], shown[1])
	w.picture("sixty", desktop)
	w.accessible("60 nodes")
	if shown[0]-alone[0] > 100 || shown[1]-alone[1] > 100 {
		t.Error("a page of 60 nodes costs more than 100 kB/s")
	}
	w.clean(hosts[0])
}

// gossipRate is what the gossip of a host sends and receives, kB/s, over 20 s.
func gossipRate(t *testing.T, h *lab.Host) [2]float64 {
	t.Helper()
	read := func() [2]float64 {
		var s struct {
			Gossip struct {
				Out float64 `json:"datagram_bytes_sent"`
				In  float64 `json:"datagram_bytes_received"`
			} `json:"gossip_traffic"`
		}
		if err := h.JSON(&s, "status"); err != nil {
			t.Fatal(err)
		}
		return [2]float64{s.Gossip.Out, s.Gossip.In}
	}
	const over = 20 * time.Second
	before := read()
	time.Sleep(over)
	after := read()
	return [2]float64{(after[0] - before[0]) / over.Seconds() / 1000, (after[1] - before[1]) / over.Seconds() / 1000}
}

// TestMoreThanSixtyNodesAreAList shows a network that is too large for a
// matrix.
func TestMoreThanSixtyNodesAreAList(t *testing.T) {
	l := lab.New(t)
	hosts := l.Network(64, "--metrics", netip.AddrPortFrom(netip.IPv4Unspecified(), lab.MetricsPort).String())
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(63), 2*time.Minute)
	w.saysAll("#mesh", time.Minute, "64 nodes, page 1 of 2", "63 of 63")
	w.run(chromedp.Click("#mesh-next"))
	w.saysAll("#mesh", ready, "page 2 of 2")
	w.run(chromedp.SendKeys("#mesh-filter", "host63"))
	w.saysAll("#mesh", ready, "1 nodes, page 1 of 1", hosts[62].Lease().String())
	hosts[63].Daemon.Kill()
	w.run(chromedp.SetValue("#mesh-filter", ""), chromedp.SendKeys("#mesh-filter", "dead"))
	w.saysAll("#mesh", 2*time.Minute, "host64", "not known: it is dead")
	w.run(chromedp.SetValue("#mesh-filter", ""), chromedp.SendKeys("#mesh-filter", "host"))
	w.picture("list", desktop)
	w.accessible("a list")
	w.clean(hosts[0])
}
