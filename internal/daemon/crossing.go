package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
)

// newCrossing makes what proves that this host forwards packets of peers to the
// bridge of its containers.
func (d *daemon) newCrossing(p *plane) *probe.Crossing {
	source := p.network.Addr().Next()
	tries := 0
	var c *probe.Crossing
	c = probe.NewCrossing(probe.CrossingConfig{
		Source: source,
		Pick: func() (netip.Addr, string) {
			if _, leased := d.routing.table.Lookup(source); leased {
				return netip.Addr{}, "" // the answers would go there
			}
			found, err := bridge.List()
			if err != nil {
				return netip.Addr{}, ""
			}
			tries++
			return beyond(found, p.lease, tries)
		},
		Send:    func(packet []byte) error { _, err := p.write(packet); return err },
		Changed: func() { d.reportCrossing(p, c) },
	})
	return c
}

// legacyLook is how often the tables of iptables-legacy are read, which report
// no changes.
const legacyLook = 3 * time.Second

// cross runs the crossing, which tries at once when rules change, until ctx
// ends.
func (p *plane) cross(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { p.watchRules(ctx) })
	p.crossing.Run(ctx)
	watching.Wait()
}

// watchRules hurries the crossing when rules of any program change.
func (p *plane) watchRules(ctx context.Context) {
	var changed <-chan struct{}
	watcher, err := ruleset.Watch(ctx)
	if err == nil {
		changed = watcher.Changed
	}
	tick := time.NewTicker(legacyLook)
	defer tick.Stop()
	legacy, _ := ruleset.Legacy()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			watcher.Take()
			p.crossing.Hurry()
		case <-tick.C:
			if now, err := ruleset.Legacy(); err == nil && now != legacy {
				legacy = now
				p.crossing.Hurry()
			}
		}
	}
}

// beyond picks an address behind a bridge that has the lease's addresses: in
// the upper half of its subnet, another one at each try. It is the zero address
// where there is no such bridge, or no room on it.
func beyond(found []bridge.Bridge, lease netip.Prefix, try int) (netip.Addr, string) {
	const roomy = 29 // bits: six addresses for hosts
	for _, b := range found {
		for _, own := range b.Addrs {
			if !lease.Contains(own.Addr()) || own.Bits() > roomy || own.Bits() < lease.Bits() {
				continue
			}
			half := 1<<(32-own.Bits())/2 - 2
			a := lastAddress(own).Prev()
			for range try % half {
				a = a.Prev()
			}
			if !b.Carries(a) {
				return a, b.Name
			}
		}
	}
	return netip.Addr{}, ""
}

// lastAddress is the last address of an IPv4 prefix.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func (d *daemon) reportCrossing(p *plane, c *probe.Crossing) {
	state, bridge := c.State()
	text, problems := "", []problem.Problem{}
	switch state {
	case probe.Dropped:
		text = "drops"
	case probe.Forbidden:
		text = "rejects"
	}
	if text != "" {
		problems = append(problems, problem.Problem{
			Text: fmt.Sprintf("packets of other hosts do not reach the containers behind %s: a rule of this host %s them between %s and %[1]s", bridge, text, p.link.Name),
			Advice: fmt.Sprintf("firewalld: firewall-cmd --permanent --zone=trusted --add-source=%s && firewall-cmd --reload; "+
				"ufw: ufw route allow in on %s out on %s; else look for it (nft list ruleset; iptables-save; iptables-legacy-save)", p.network, p.link.Name, bridge),
		})
	}
	d.problems.Report("crossing", problems...)
	poke(d.guard.othersWake) // a rule came or went, and perhaps unseen
}
