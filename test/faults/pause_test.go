// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// TestPausedForAWhile stops daemons with SIGSTOP, several at a time, and
// continues them, as when a virtual machine is migrated or a machine swaps. The
// pauses last from about a second to longer than a declaration of death takes.
// Each node has to come back with the lease it had, be seen alive, and forward
// again, by itself. In long runs one of the pauses takes two minutes.
func TestPausedForAWhile(t *testing.T) {
	t.Parallel()
	pauses := setting(t, pausesVariable, 8)
	longest := time.Duration(setting(t, longestSetting, 12)) * time.Second
	random := seed(t)
	stay, victims := 4, min(3, pauses)
	if pauses >= 50 {
		stay, victims = 20, 18
	}
	l := lab.New(t)
	hosts := l.Network(stay + victims)
	before := leasesOf(hosts)
	talks := converse(t, hosts, [][2]int{{0, 1}, {2, 3}})
	failures := make([]error, victims)
	var beside sync.WaitGroup
	for i := range victims {
		r := randomness(random, i)
		beside.Go(func() {
			h := hosts[stay+i]
			for n := range pauses/victims + min(1, max(0, pauses%victims-i)) {
				length := between(r, time.Second, longest)
				if i == 0 && n == 0 && pauses >= 50 {
					length = 2 * time.Minute
				}
				<-time.After(between(r, 0, 2*time.Second)) // so that not all do at once
				if err := pause(t, h, hosts[:stay], before, length); err != nil {
					failures[i] = fmt.Errorf("%s, pause %d of %v: %w", h.NodeName, n, length, err)
					return
				}
			}
		})
	}
	beside.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	inTouch(t, talks)
	took := lab.WaitAgreed(t, hosts, len(hosts), healed)
	t.Logf("%d pauses of 1 s to %v, %d at a time; tables equal %.1f s after the last", pauses, longest, victims, took.Seconds())
	before.unchanged(t, hosts)
}

// pause stops the host's daemon for that long. It returns when the daemon
// answers again, with the lease it had, and packets pass.
func pause(t *testing.T, h *lab.Host, others []*lab.Host, before leases, length time.Duration) error {
	h.Daemon.Signal(unix.SIGSTOP)
	<-time.After(length)
	h.Daemon.Signal(unix.SIGCONT)
	observer := others[h.Number%len(others)]
	err := lab.Within(healed, func() error {
		nodes, err := observer.Table()
		if err != nil {
			return err
		}
		n := nodes.Find(h.NodeName)
		return lab.Expect(n.State == "alive" && n.Subnet == before[h].String(), "%s sees it %s with %q, it had %v",
			observer.NodeName, n.State, n.Subnet, before[h])
	})
	if err != nil {
		return err
	}
	if h.Daemon.Ended() || h.Lease() != before[h] {
		return fmt.Errorf("it has %v, it had %v", h.Lease(), before[h])
	}
	return lab.Within(healed, func() error { return observer.Replies(t, before[h].Addr()) })
}
