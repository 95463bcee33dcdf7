// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestKilledAtAnyMoment kills daemons with SIGKILL, again and again, while they
// start, claim, are just ready, or leave. Afterwards the state directory has to
// be whole. It has the lease it had before or, if none was ever confirmed,
// none. The nodes that are not killed must not notice.
//
// The holders that stay are as many as make a majority, so that claims are
// decided whichever nodes are down. There are few more subnets than nodes, so
// that claims meet.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills := setting(t, killsVariable, 60)
	random := seed(t)
	const victims, others = 8, 9
	l := lab.New(t)
	stay := l.Network(others, "--network", "10.244.0.0/19")
	before := leasesOf(stay)
	talks := converse(t, stay, [][2]int{{0, 1}, {2, 3}})

	r := &register{holders: map[netip.Prefix]*victim{}}
	var all []*victim
	for i := range victims {
		all = append(all, &victim{host: l.Host(), seed: stay[i%others].Addr.String(), random: randomness(random, i), register: r, usual: 200 * time.Millisecond})
	}
	start := time.Now()
	var beside sync.WaitGroup
	for i, v := range all {
		beside.Go(func() {
			for range kills/victims + min(1, max(0, kills%victims-i)) {
				if v.err = v.cycle(); v.err != nil {
					return
				}
			}
		})
	}
	beside.Wait()
	took := time.Since(start)
	sum := counts{}
	for _, v := range all {
		sum.add(v.counts)
		if v.err != nil {
			t.Errorf("%s, kill %d: %v\n%s", v.host.NodeName, v.counts.kills, v.err, v.host.Daemon.Log())
		}
	}
	t.Logf("%v in %.1f s", sum, took.Seconds())
	inTouch(t, talks)
	before.unchanged(t, nil)
	if t.Failed() {
		return
	}
	hosts := slices.Clone(stay)
	for _, v := range all {
		v.host.Start("--join", v.seed).WaitReady(ready)
		if lease := v.host.Lease(); v.lease.IsValid() && lease != v.lease {
			t.Errorf("%s has %v at last, it had %v", v.host.NodeName, lease, v.lease)
		}
		before[v.host] = v.host.Lease()
		hosts = append(hosts, v.host)
	}
	lab.WaitAgreed(t, hosts, len(hosts), healed)
	before.unchanged(t, hosts)
	allReachEachOther(t, hosts)
}

// TestFounderKilledAtAnyMoment does the same to nodes that found a network,
// alone.
func TestFounderKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills := setting(t, killsVariable, 60) / 3
	random := randomness(seed(t), 100)
	h := lab.New(t).Host()
	sum := counts{}
	for sum.kills < kills {
		v := &victim{host: h, random: random, usual: 100 * time.Millisecond, register: &register{holders: map[netip.Prefix]*victim{}}}
		h.Exec(t, "sh", "-c", "rm -rf "+h.StateDir+"/* "+h.StateDir+"/.[a-z]*")
		for range 5 {
			if err := v.cycle(); err != nil {
				t.Fatalf("kill %d: %v\n%s", sum.kills, err, h.Daemon.Log())
			}
		}
		sum.add(v.counts)
	}
	t.Logf("%v", sum)
}

// counts are the events of a victim.
type counts struct {
	kills       int
	unready     int // before it was ready
	unconfirmed int // before there was a lease on disk
	leaving     int // while it handed its lease back
	claims      int // leases taken anew
}

func (c *counts) add(d counts) {
	c.kills += d.kills
	c.unready += d.unready
	c.unconfirmed += d.unconfirmed
	c.leaving += d.leaving
	c.claims += d.claims
}

func (c counts) String() string {
	return fmt.Sprintf("%d kills, %d before ready, %d before a lease was confirmed, %d while leaving; %d leases claimed",
		c.kills, c.unready, c.unconfirmed, c.leaving, c.claims)
}

// register knows which victim holds which lease, on disk, dead or alive.
type register struct {
	mu      sync.Mutex
	holders map[netip.Prefix]*victim
}

// victim is a host with a daemon to be killed.
type victim struct {
	host     *lab.Host
	seed     string // the host it joins; "": it founds
	random   *rand.Rand
	register *register
	lease    netip.Prefix  // confirmed by an earlier start, and to be kept; zero: none
	start    uint64        // number of the last start that reached the disk
	usual    time.Duration // from start to ready, recently
	counts   counts
	err      error
}

// cycle starts the daemon, kills it at some moment, and looks at what is left.
func (v *victim) cycle() error {
	var args []string
	if v.seed != "" {
		args = []string{"--join", v.seed}
	} else {
		args = []string{"--network", "10.244.0.0/19"}
	}
	d, err := v.host.Launch(args...)
	if err != nil {
		return err
	}
	defer d.Kill()
	leaving, err := v.waitForTheMoment(d)
	if err != nil {
		return err
	}
	d.Kill()
	v.counts.kills++
	if err := v.check(leaving); err != nil || !leaving {
		return err
	}
	return v.finishLeaving()
}

// finishLeaving leaves again after a leave that was cut short. Some nodes may
// have heard of the leave, and this node may not have written it down. So its
// lease is not checked.
func (v *victim) finishLeaving() error {
	d, err := v.host.Launch("--join", v.seed)
	if err != nil {
		return err
	}
	defer d.Kill()
	if err := becomeReady(d); err != nil {
		return err
	}
	v.giveUp()
	if out, err := v.host.Command("leave").CombinedOutput(); err != nil {
		return fmt.Errorf("leave: %w: %s", err, out)
	}
	return nil
}

// waitForTheMoment waits until some time after the start, after READY=1, or
// after the daemon was told to leave. It reports whether the last was the case.
func (v *victim) waitForTheMoment(d *lab.Daemon) (leaving bool, err error) {
	start, n := time.Now(), v.random.IntN(20)
	f := v.random.Float64() // squared: the important steps are early
	early, late := time.Duration(f*f*1.25*float64(v.usual)), between(v.random, 0, 100*time.Millisecond)
	if n == 19 {
		late *= 15 // as long as the node table may wait to be written
	}
	if n < 10 {
		select {
		case <-time.After(early):
			v.counts.unready++
			return false, nil
		case <-d.Ready():
		case <-d.Gone():
		}
	}
	if err := becomeReady(d); err != nil {
		return false, err
	}
	v.usual = (3*v.usual + time.Since(start)) / 4
	if err := v.hold(v.host.Lease()); err != nil {
		return false, err
	}
	if n >= 15 && n < 18 && v.seed != "" {
		v.giveUp()
		v.counts.leaving++
		leave := v.host.Command("leave")
		if err := leave.Start(); err != nil {
			return false, err
		}
		defer leave.Wait()
		defer d.Kill()
		leaving = true
	}
	select {
	case <-time.After(late):
	case <-d.Gone():
		if !leaving {
			return false, fmt.Errorf("the daemon ended by itself")
		}
	}
	return leaving, nil
}

// becomeReady waits until the daemon is ready.
func becomeReady(d *lab.Daemon) error {
	select {
	case <-d.Ready():
		return nil
	case <-d.Gone():
		return fmt.Errorf("the daemon ended by itself")
	case <-time.After(ready):
		return fmt.Errorf("not ready within %v", ready)
	}
}

// check compares what is on disk with what was confirmed before.
func (v *victim) check(leaving bool) error {
	file, err := lab.ReadLeaseFile(v.host.StateDir)
	if err != nil {
		return err
	}
	if file.Start < v.start {
		return fmt.Errorf("the start number fell from %d to %d", v.start, file.Start)
	}
	v.start = file.Start
	switch lost := len(file.Lease) == 0 || file.Pending; {
	case leaving:
	case !lost:
		return v.hold(subnet(file.Slot))
	case v.lease.IsValid():
		return fmt.Errorf("the lease of %v is gone from the disk", v.lease)
	default:
		v.counts.unconfirmed++
	}
	return nil
}

// hold notes a lease. It has to be the same as before, if there was one, and no
// other node may have it.
func (v *victim) hold(lease netip.Prefix) error {
	v.register.mu.Lock()
	defer v.register.mu.Unlock()
	if v.lease.IsValid() && v.lease != lease {
		return fmt.Errorf("it has %v, it had %v", lease, v.lease)
	}
	if other := v.register.holders[lease]; other != nil && other != v {
		return fmt.Errorf("%v is held by %s, too", lease, other.host.NodeName)
	}
	if !v.lease.IsValid() {
		v.counts.claims++
	}
	v.lease, v.register.holders[lease] = lease, v
	return nil
}

// giveUp is for a lease that is about to be handed back: any node may have it
// from now on.
func (v *victim) giveUp() {
	v.register.mu.Lock()
	defer v.register.mu.Unlock()
	delete(v.register.holders, v.lease)
	v.lease = netip.Prefix{}
}

// subnet is the n-th of 10.244.0.0/19.
func subnet(n uint32) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n), 0}), 24)
}
