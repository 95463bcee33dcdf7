// SPDX-License-Identifier: Apache-2.0

//go:build page

package page

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
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
	w.saysAll("#events", ready, "lease", hosts[4].Lease().String()) // the newest events only
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

// A network of one node has nothing to show in most places. The browser keeps
// its page from other servers and from scripts in markup, and axe-core finds a
// fault that is put there.
func TestOneNode(t *testing.T) {
	l := lab.New(t)
	h := l.Host()
	start(h)
	w := open(t, l)
	w.visit(h)
	w.saysAll("#verdict", ready, "all is well")
	w.saysAll("#mesh", ready, "There is no other node yet", "flanneld run --join 192.168.50.11")
	w.saysAll("#talkers", ready, "No packets")
	w.picture("one", desktop)
	w.accessible("one node")
	w.clean(h)

	blocked := await[string](w, `new Promise((done) => {
		const seen = [];
		addEventListener("securitypolicyviolation", (e) => seen.push(e.effectiveDirective));
		fetch("http://192.168.50.99:8287/").catch(() => {});
		new Image().src = "http://192.168.50.99:8287/a.png";
		const script = document.createElement("script");
		script.textContent = "window.ran = true";
		document.head.append(script);
		setTimeout(() => done(seen.sort().join()), 2000);
	})`)
	if blocked != "connect-src,img-src,script-src-elem" || eval[bool](w, "'ran' in window") {
		t.Errorf("Chromium blocks %q", blocked)
	}
	w.run(chromedp.Evaluate(`document.querySelector("main").append(Object.assign(new Image(), {src: "page/icon.svg"}))`, nil))
	if found := w.violations(); len(found) != 1 || found[0].ID != "image-alt" {
		t.Errorf("axe-core finds %+v", found)
	}
}

// Where the kernel carries the packets, the page says so for each peer, with
// what it has carried. Where it does not, the page says why.
func TestTheShortcutIsShown(t *testing.T) {
	l := lab.New(t)
	fast, other, plain := l.Host(), l.Host(), l.Host()
	start(fast, "--shortcut", "auto")
	start(other, "--shortcut", "auto", "--join", fast.Addr.String())
	start(plain, "--shortcut", "off", "--join", fast.Addr.String())
	lab.WaitAgreed(t, []*lab.Host{fast, other, plain}, 3, ready)
	from, to := fast.Pod(), other.Pod()
	w := open(t, l)
	w.visit(fast)
	w.shows("all reports", reported(2), ready)
	w.shows("the short-cut, both ways", "[...document.querySelectorAll('.matrix td.works small')].filter((c) => c.innerText === 'udp (kernel)').length === 2", ready)
	stream(t, from, to, 20)
	w.shows("what the kernel carries", `[...document.querySelectorAll('#details tr')].some((r) => /^udp \(kernel\)\s+1\s+carried [1-9][\d,]* packets out and [1-9][\d,]* in/.test(r.innerText))`, ready)
	w.saysAll("#ways-rows", ready, "the kernel carries it, by the short-cut", "in user space; short-cut: ")
	w.saysAll("#talkers", ready, "host2", "Mbit/s")
	w.saysAll("#chart-key", ready, "Mbit/s")
	w.picture("shortcut", desktop)
	w.accessible("the short-cut")
	w.run(chromedp.SetValue("#chosen", eval[string](w, "[...document.querySelectorAll('#chosen option')].find((o) => o.text === 'host3').value")),
		chromedp.Evaluate("document.getElementById('chosen').dispatchEvent(new Event('change'))", nil))
	w.saysAll("#details", ready, "udp (kernel)", "not used: off (--shortcut)")
	w.clean(fast)
}

// What is wrong anywhere is on the page of any node: a dead host, a cut, a
// conflict.
func TestWhatIsWrongIsShown(t *testing.T) {
	l := lab.New(t)
	hosts := meshOf(t, l, 4)
	odd := l.Host()
	start(odd, "--join", hosts[0].Addr.String(), "--static-peer", hosts[2].Lease().String()+"=192.168.50.99:8285")
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(4), ready)
	w.saysAll("#problems", ready, "host5", hosts[2].Lease().String(), "--static-peer")

	hosts[3].Daemon.Kill()
	l.Drop(fmt.Sprintf("iifname . oifname { %q . %q, %q . %q } udp dport 8285", "host2", "host3", "host3", "host2"))
	w.saysAll("#problems", time.Minute, "host4 is dead", "flanneld forget "+short(t, hosts[0], "host4"))
	w.shows("the cut", "document.querySelectorAll('.matrix td.failed').length >= 2", 2*time.Minute)
	w.saysAll("#problems", time.Minute, "host2", "host3")
	w.saysAll("#verdict", ready, "problem")
	w.saysAll("#problems li:first-child", ready, "host5", "conflict") // the gravest first
	for kind, least := range map[string]int{"dead": 2, "silent": 3, "works": 6} {
		if n := w.cells(kind); n < least {
			t.Errorf("%d cells are %s, not %d", n, kind, least)
		}
	}
	w.picture("wrong", desktop)
	w.accessible("what is wrong")
	w.picture("wrong-dark", night)
	w.accessible("what is wrong, in the dark")
	w.picture("wrong-phone", phone)
	w.as(desktop)

	l.Mend()
	w.shows("the end of the cut", "document.querySelectorAll('.matrix td.failed').length === 0", 2*time.Minute)
	w.clean(hosts[0])
}

// A node's name is text, whatever is in it.
func TestAnyNameIsText(t *testing.T) {
	l := lab.New(t)
	hosts := meshOf(t, l, 2)
	evil := l.Host()
	start(evil, "--join", hosts[0].Addr.String(), "--node-name", evilName, "--static-peer", hosts[1].Lease().String()+"=192.168.50.99:8285")
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(2), ready)
	for _, selector := range []string{"#mesh", "#problems", "#leases", "#events"} {
		w.saysAll(selector, ready, evilName)
	}
	w.visit(evil)
	w.saysAll("#node", ready, evilName)
	if eval[bool](w, "'pwned' in window || document.querySelector('main img, main b, main script, h1 *') !== null") {
		t.Error("a node's name became markup")
	}
	w.clean(hosts[0], evil)
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
	if text := w.text("#problems"); strings.Contains(text, "`") {
		t.Errorf("commands are in backquotes, not in code: %q", text)
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
	measure(t, l, hosts)
	l.Drop(fmt.Sprintf("iifname %q oifname { %q, %q, %q } udp dport 8285", hosts[7].NodeName, hosts[20].NodeName, hosts[21].NodeName, hosts[22].NodeName))
	hosts[40].Daemon.Kill()
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(len(hosts)-2), 2*time.Minute)
	w.shows("the matrix", "document.querySelectorAll('.matrix.compact td.works').length >= 3300", 3*time.Minute)
	w.shows("the dead", "document.querySelectorAll('.matrix td.dead').length >= 59", 3*time.Minute)
	w.shows("the cut", "document.querySelectorAll('.matrix td.failed').length >= 6", 3*time.Minute)
	w.saysAll("#problems", time.Minute, hosts[40].NodeName)
	w.picture("sixty", desktop)
	w.accessible("60 nodes")
	w.clean(hosts[0])
}

// emptyFilter takes back what was typed into the filter.
const emptyFilter = `document.getElementById("mesh-filter").value = ""`

// TestMoreThanSixtyNodesAreAList shows a network that is too large for a
// matrix.
func TestMoreThanSixtyNodesAreAList(t *testing.T) {
	l := lab.New(t)
	hosts, dead := l.Survivors(64, 33, "--metrics", netip.AddrPortFrom(netip.IPv4Unspecified(), lab.MetricsPort).String())
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", reported(len(hosts)-1), 2*time.Minute)
	w.saysAll("#mesh", time.Minute, "64 nodes, page 1 of 2", "32 of 32")
	w.saysAll("#verdict", ready, "31 hosts dead")
	w.run(chromedp.Click("#mesh-next"))
	w.saysAll("#mesh", ready, "page 2 of 2")
	w.run(chromedp.SendKeys("#mesh-filter", "host63"))
	w.saysAll("#mesh", ready, "1 nodes, page 1 of 1", hosts[len(hosts)-2].Lease().String())
	w.run(chromedp.Evaluate(emptyFilter, nil), chromedp.SendKeys("#mesh-filter", "dead"))
	w.saysAll("#mesh", ready, dead[0].NodeName, "not known: it is dead", "31 nodes")
	hosts[len(hosts)-1].Daemon.Kill()
	w.saysAll("#mesh", 2*time.Minute, "host64", "32 nodes")
	w.run(chromedp.Evaluate(emptyFilter, nil), chromedp.SendKeys("#mesh-filter", "host"))
	w.picture("list", desktop)
	w.accessible("a list")
	w.clean(hosts[0])
}
