package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
)

// ownTables begins the names of all flannelds' tables, which judge nothing but
// traffic to the ports.
const ownTables = "flanneld-"

// otherRulesLoop looks for rules of other programs that drop what must pass:
// after changes, and rarely otherwise. What it reads is all rules in the way,
// so that the pause grows with what it costs.
func (g *guard) otherRulesLoop(ctx context.Context) {
	var changed <-chan struct{}
	watcher, err := ruleset.Watch(ctx)
	if err == nil {
		changed = watcher.Changed
	}
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	var (
		soon     <-chan time.Time
		finished time.Time
		took     time.Duration
		legacy   string
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			watcher.Take()
			soon = later(soon, finished, took)
			continue
		case <-g.othersWake:
			soon = later(soon, finished, took)
			continue
		case <-soon:
			soon = nil
		case <-tick.C:
			now, err := ruleset.Legacy()
			if err != nil || now == legacy && time.Since(finished) < rareInterval {
				continue
			}
			legacy = now
		}
		if t := g.current(); t != nil {
			start := time.Now()
			g.otherRulesRound(t)
			finished, took = time.Now(), time.Since(start)
		}
	}
}

// later sets a timer unless one runs. What is only named, not mended, can wait
// longer than what is.
func later(running <-chan time.Time, finished time.Time, took time.Duration) <-chan time.Time {
	const factor = 50
	if running != nil {
		return running
	}
	return time.After(max(changeDelay, min(max(minPause, factor*took), rareInterval)-time.Since(finished)))
}

// otherRulesRound names what drops overlay traffic, or traffic to the ports.
func (g *guard) otherRulesRound(t *target) {
	blocked, err := ruleset.BlockedFlows(t.ctx, g.flows(t), ownTables)
	if t.ctx.Err() != nil {
		return
	}
	if err != nil {
		g.log.Debug("other programs' rules cannot be judged", "error", err)
	}
	var found []problem.Problem
	for _, b := range blocked {
		found = append(found, g.blockedProblem(t, b))
	}
	g.problems.Report("rules", found...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overruled = ""
	if len(found) > 0 {
		g.overruled = found[0].Text
	}
}

// flows is what must pass on this host.
func (g *guard) flows(t *target) []ruleset.Flow {
	g.mu.Lock()
	device, members := g.underlay, g.members
	g.mu.Unlock()
	flows := []ruleset.Flow{
		{Name: "by TCP from other hosts' containers to this host's", Hooks: []string{"prerouting", "forward", "postrouting"},
			In: t.link.Name, Out: bridge.OfLease(t.lease), From: t.network, To: t.lease, Proto: 6},
		{Name: "by TCP from this host's containers to other hosts'", Hooks: []string{"prerouting", "forward", "postrouting"},
			In: bridge.OfLease(t.lease), Out: t.link.Name, From: t.lease, To: t.network, Proto: 6},
	}
	for _, m := range members {
		if !m.Self {
			continue
		}
		own := netip.PrefixFrom(m.Addr, m.Addr.BitLen())
		for _, port := range []struct {
			name   string
			proto  byte
			number uint16
		}{{"data", 17, m.Data}, {"gossip", 6, m.Gossip}, {"gossip", 17, m.Gossip}} {
			if port.number != 0 {
				flows = append(flows, ruleset.Flow{Name: fmt.Sprintf("to the %s port (%s %d)", port.name, map[byte]string{6: "TCP", 17: "UDP"}[port.proto], port.number),
					Hooks: []string{"prerouting", "input"}, In: device, To: own, Proto: port.proto, Port: port.number})
			}
		}
		break // the address that is bound; the announced one may be a router's
	}
	return flows
}

// blockedProblem puts into words what drops a flow, and what to type.
func (g *guard) blockedProblem(t *target, b ruleset.Blocked) problem.Problem {
	family := "ip"
	if b.Chain.Family == ruleset.FamilyInet {
		family = "inet"
	}
	where := fmt.Sprintf("%s of nf_tables' table %s %s", b.Hook, family, b.Chain.Table)
	if b.Legacy {
		where = fmt.Sprintf("%s of iptables-legacy's table %s", b.Hook, b.Chain.Table)
	}
	return problem.Problem{Text: fmt.Sprintf("traffic %s is dropped in %s: %s", b.Flow.Name, where, b.Why), Advice: adviceFor(t, b, family)}
}

// adviceFor says what to type, in the words of the program whose rules they
// are.
func adviceFor(t *target, b ruleset.Blocked, family string) string {
	proto := map[byte]string{6: "tcp", 17: "udp"}[b.Flow.Proto]
	ours := b.Flow.Port != 0 // a port of this host, not forwarded traffic
	switch {
	case b.Chain.Table == "firewalld" && ours:
		return fmt.Sprintf("firewall-cmd --permanent --add-port=%d/%s && firewall-cmd --reload", b.Flow.Port, proto)
	case b.Chain.Table == "firewalld":
		return fmt.Sprintf("firewall-cmd --permanent --zone=trusted --add-source=%s && firewall-cmd --reload", t.network)
	case strings.Contains(b.Why, "ufw") && ours, ours && b.Hook == "input" && hasUFW():
		return fmt.Sprintf("ufw allow %d/%s", b.Flow.Port, proto)
	case strings.Contains(b.Why, "ufw"):
		return fmt.Sprintf("ufw route allow from %s to %s", t.network, t.network)
	case b.Legacy && ours:
		return fmt.Sprintf("iptables-legacy -I INPUT -p %s --dport %d -j ACCEPT", proto, b.Flow.Port)
	case b.Legacy && b.Chain.Table == "filter" && strings.HasPrefix(b.Why, "policy"):
		return fmt.Sprintf("iptables-legacy -P %s ACCEPT", b.Chain.Name)
	case b.Legacy:
		return fmt.Sprintf("iptables-legacy -t %s -I %s -s %s -d %s -j ACCEPT", b.Chain.Table, b.Chain.Name, b.Flow.From, b.Flow.To)
	case ours:
		return fmt.Sprintf("nft insert rule %s %s %s %s dport %d accept", family, b.Chain.Table, b.Chain.Name, proto, b.Flow.Port)
	}
	return fmt.Sprintf("nft insert rule %s %s %s ip saddr %s ip daddr %s accept", family, b.Chain.Table, b.Chain.Name, b.Flow.From, b.Flow.To)
}

// hasUFW reports whether ufw keeps the rules of this host.
func hasUFW() bool { return fileHas("/etc/ufw/ufw.conf", "ENABLED=yes") }
