// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"
)

// Network makes n hosts with running daemons that form one network: the first
// founds it, the others join it, all at once if the machine bears that. It
// returns when all are ready and agree.
func (l *Lab) Network(n int, args ...string) []*Host {
	l.t.Helper()
	hosts := l.makeHosts(n)
	l.startAll(hosts, args)
	return hosts
}

// Survivors makes a network of n nodes of which all but so many have lost their
// power, one after another: no more daemons run at a time than a small machine
// bears. Each newcomer needs the promises of half of all lease holders, so
// alive is half of n or more. The first host survives. Survivors returns when
// the live ones agree.
func (l *Lab) Survivors(n, alive int, args ...string) (survivors, dead []*Host) {
	l.t.Helper()
	hosts := l.makeHosts(n)
	l.startAll(hosts[:alive], args)
	first := 1
	for _, h := range hosts[alive:] {
		hosts[first].Daemon.Kill()
		first++
		h.join(hosts[0], args).WaitReady(20 * time.Second)
	}
	survivors, dead = append(hosts[:1:1], hosts[first:]...), hosts[1:first]
	WaitAgreed(l.t, survivors, alive, 30*time.Second)
	return survivors, dead
}

// makeHosts makes n hosts that find each other on the underlay.
func (l *Lab) makeHosts(n int) []*Host {
	l.t.Helper()
	hosts := make([]*Host, n)
	for i := range hosts {
		hosts[i] = l.Host()
	}
	if n > fewHosts {
		l.introduce(hosts)
	}
	return hosts
}

// Two processors bear to start that many daemons at once. One needs a second or
// two of a processor to start, and two hundredths of one afterwards. Of more,
// a few start at a time.
const (
	bearable = 31
	atOnce   = 4
)

// startAll starts a network on hosts, and waits until they agree.
func (l *Lab) startAll(hosts []*Host, args []string) {
	l.t.Helper()
	limit := 20*time.Second + time.Duration(len(hosts))*500*time.Millisecond
	hosts[0].Start(args...).WaitReady(limit)
	wave := atOnce
	if len(hosts) <= bearable {
		wave = len(hosts)
	}
	for some := range slices.Chunk(hosts[1:], wave) {
		for _, h := range some {
			h.join(hosts[0], args)
		}
		for _, h := range some {
			h.Daemon.WaitReady(limit)
		}
	}
	WaitAgreed(l.t, hosts, len(hosts), 30*time.Second)
}

// fewHosts know each other by ARP. The kernel keeps at most 1,024 answers for
// all namespaces of the machine together (net.ipv4.neigh.default.gc_thresh3).
// It drops packets if there is no room for an answer.
const fewHosts = 20

// introduce writes down for each host where the others are. What is permanent
// does not count.
func (l *Lab) introduce(hosts []*Host) {
	l.t.Helper()
	mac := func(h *Host) string { return fmt.Sprintf("02:00:00:00:00:%02x", h.Number) }
	for _, h := range hosts {
		batch := []string{"link set eth0 address " + mac(h)}
		for _, other := range hosts {
			if other != h {
				batch = append(batch, fmt.Sprintf("neigh replace %v lladdr %s dev eth0 nud permanent", other.Addr, mac(other)))
			}
		}
		h.IP(l.t, batch...)
	}
}

// Table is [Host.Nodes] straight from the control socket, without a process of
// its own: for asking often, and many hosts.
func (h *Host) Table() (Nodes, error) {
	var n Nodes
	return n, h.ask(&n, "nodes")
}

// ask sends one request to the control socket.
func (h *Host) ask(into any, what string) error {
	answer, err := h.control(5 * time.Second).Get("http://flanneld/v1/" + what)
	if err != nil {
		return fmt.Errorf("%s: %w", h.NodeName, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", h.NodeName, what, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// control makes a client of the control socket, for one request.
func (h *Host) control(limit time.Duration) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.RunDir, "flanneld.sock"))
	}
	return &http.Client{Timeout: limit, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// Agreed checks that the daemons of all these hosts have the same table, with
// that many nodes alive. It returns an error for [Eventually].
func Agreed(hosts []*Host, alive int) error {
	var first string
	for i, h := range hosts {
		nodes, err := h.Table()
		if err != nil {
			return err
		}
		table, n := nodes.Summary()
		if n != alive {
			return fmt.Errorf("%s sees %d live nodes: %s", h.NodeName, n, table)
		}
		if i == 0 {
			first = table
		} else if table != first {
			return fmt.Errorf("%s has %s, %s has %s", h.NodeName, table, hosts[0].NodeName, first)
		}
	}
	return nil
}

// WaitAgreed waits until [Agreed], and returns how long that took.
func WaitAgreed(t TB, hosts []*Host, alive int, limit time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	Eventually(t, limit, fmt.Sprintf("%d hosts with one table of %d live nodes", len(hosts), alive), func() error {
		return Agreed(hosts, alive)
	})
	return time.Since(start)
}
