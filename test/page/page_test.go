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

	"flanneld/test/lab"
)

const ready = 20 * time.Second

func TestMain(m *testing.M) {
	lab.Enter(lab.Build)
	os.Exit(m.Run())
}

// start starts a daemon that serves its page to the underlay.
func start(h *lab.Host, args ...string) {
	h.Start(append([]string{"--metrics", netip.AddrPortFrom(h.Addr, lab.MetricsPort).String()}, args...)...).WaitReady(ready)
}

// network makes n hosts that form one network.
func network_(t *testing.T, l *lab.Lab, n int, args ...string) []*lab.Host {
	t.Helper()
	var hosts []*lab.Host
	for i := range n {
		h := l.Host()
		hosts = append(hosts, h)
		if i > 0 {
			start(h, append([]string{"--join", hosts[0].Addr.String()}, args...)...)
		} else {
			start(h, args...)
		}
	}
	lab.WaitAgreed(t, hosts, n, ready)
	return hosts
}

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
	hosts := network_(t, l, 5, "--backend", "auto")
	if l.HasNetem() {
		l.Weather(hosts[3], lab.Weather{Delay: 1500 * time.Microsecond})
		l.Weather(hosts[4], lab.Weather{Delay: 6 * time.Millisecond})
	}
	a, b, c := hosts[0].Pod(), hosts[1].Pod(), hosts[2].Pod()
	stream(t, a, b, 6)
	stream(t, c, a, 2)
	w := open(t, l)
	w.visit(hosts[0])
	w.shows("all reports", "document.documentElement.dataset.ready === '4'", ready)
	w.shows("all cells", "document.querySelectorAll('.matrix td.works').length === 20", ready)
	w.saysAll("#verdict", ready, "all is well")
	w.saysAll("#tiles", ready, "5 of 5", "20 of 20", "5 report", "bit/s")
	w.saysAll("#leases", ready, "host1 (this node)", hosts[1].Lease().String(), "192.168.50.12:8285", "of 1")
	time.Sleep(60 * time.Second) // traffic to see
	w.saysAll("#talkers", ready, "host2", "Mbit/s")
	w.saysAll("#chart-key", ready, "Mbit/s")
	w.picture("page", desktop)
	w.accessible("light")
	w.picture("dark", night)
	w.accessible("dark")
	w.picture("phone", phone)
	w.picture("print", paper)
	w.as(desktop)
	w.clean(hosts[0])
}
