package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"flanneld/encap"
	"flanneld/internal/control"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
	"flanneld/route"
)

// This file is the one place where routes become targets of probes, and what
// the probes find becomes problems.

// newProber makes the prober of a plane. It sends from the plane's own data
// sockets.
func (d *daemon) newProber(lease netip.Prefix, sockets []*encap.Conn) *probe.Prober {
	conn := sockets[slices.IndexFunc(sockets, (*encap.Conn).Express)]
	var p *probe.Prober
	p = probe.New(probe.Config{
		Source: lease.Addr(),
		Send: func(to netip.AddrPort, packet []byte) (fits int, err error) {
			err = conn.SendOne(to, packet)
			if err == encap.ErrTooLong {
				if mtu, unknown := conn.PathMTU(to.Addr()); unknown == nil {
					fits = encap.Payload(mtu, to.Addr())
				}
			}
			return fits, err
		},
		Changed: func() { d.reportPaths(p) },
	})
	return p
}

// prove runs what proves that the plane carries packets, until ctx ends.
func (d *daemon) prove(ctx context.Context, p *plane) {
	var all sync.WaitGroup
	all.Go(func() { d.watchSizes(ctx, p.link.Name) })
	all.Go(func() { p.prober.Run(ctx) })
	all.Go(func() { p.mirror.Run(ctx) })
	all.Go(func() { p.cross(ctx) })
	all.Go(func() { p.surveyor.run(ctx) })
	all.Wait()
}

// answers reports whether an ICMP packet answers one of the plane's own.
func (p *plane) answers(packet []byte) bool {
	return p.prober.Answer(packet) || p.mirror.Answer(packet) || p.crossing.Answer(packet)
}

// aim tells a plane's probers what to probe.
func (d *daemon) aim(p *plane) {
	p.prober.Aim(d.targets())
	p.mirror.Aim(d.mirrorTarget(p))
}

// targets lists the peers whose data paths are probed: those that gossip says
// are there, and static ones.
func (d *daemon) targets() []probe.Target {
	var all []probe.Target
	for _, r := range d.routing.current().Routes {
		peer := d.routing.peer(r.ID)
		if r.Kind != route.Via || !r.Live || peer == nil {
			continue
		}
		all = append(all, probe.Target{
			ID: r.ID, Endpoint: r.Endpoint, Lease: r.Prefix,
			Longest: func() int { return min(d.mtu, peer.Limit()) },
			Traffic: func() (egress, ingress uint64) {
				out, in := peer.Traffic()
				return out.Packets, in.Packets
			},
		})
	}
	return all
}

// pathResults returns what is known of the data paths, by node ID or static
// peer; nil while there is no data plane.
func (d *daemon) pathResults() map[string]probe.Result {
	d.mu.Lock()
	p := d.plane
	d.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.prober.Results()
}

// pathCounts counts data paths by state.
func (d *daemon) pathCounts() (c control.Paths) {
	for _, r := range d.pathResults() {
		switch r.State {
		case probe.Works:
			c.Works++
		case probe.SmallOnly:
			c.SmallOnly++
		case probe.Failed:
			c.Failed++
		default:
			c.Unproven++
		}
	}
	return c
}

var pathStates = map[probe.State]string{
	probe.Unproven: control.PathUnproven, probe.Works: control.PathWorks,
	probe.SmallOnly: control.PathSmallOnly, probe.Failed: control.PathFailed,
}

// pathOf is a result as `nodes` shows it.
func pathOf(r probe.Result) control.Path {
	return control.Path{
		State: pathStates[r.State], Since: control.SecondsOf(time.Since(r.Since)), RTT: control.SecondsOf(r.RTT),
		Sent: r.Sent, Lost: r.Lost, Size: r.Size, Note: pathNote(r),
	}
}

// pathNote says in short what is wrong with a path, or odd.
func pathNote(r probe.Result) string {
	switch {
	case r.State == probe.Failed && r.Refused != nil:
		return fmt.Sprintf("this host does not send to it: %v", r.Refused)
	case r.State == probe.Failed && r.Arriving:
		return "packets come from it, but it does not answer"
	case r.State == probe.Failed:
		return "it does not answer, and nothing comes from it"
	case r.State == probe.SmallOnly:
		return fmt.Sprintf("packets of %d bytes are lost", r.Tried)
	case r.ForwardsOnly:
		return "it forwards, but answers no pings"
	}
	return ""
}

// pathTrouble is a data path that does not work as it should.
type pathTrouble struct {
	probe.Result
	name     string // of the node
	static   bool
	endpoint netip.AddrPort
}

// reportPaths tells the board which data paths do not work. Those to nodes that
// gossip suspects to be dead are no news.
func (d *daemon) reportPaths(p *probe.Prober) {
	results := p.Results()
	names := acquaint(d.node.Snapshot())
	var troubles []pathTrouble
	for _, planned := range d.routing.current().Routes {
		r, probed := results[planned.ID]
		if !probed || r.State != probe.Failed && r.State != probe.SmallOnly {
			continue
		}
		n, node := names[planned.ID]
		if node && n.State != peers.Alive {
			continue
		}
		t := pathTrouble{Result: r, name: planned.Name, static: !node, endpoint: planned.Endpoint}
		if node {
			t.name = names.name(planned.ID).Text()
		}
		troubles = append(troubles, t)
	}
	d.troubled.Store(len(troubles) > 0)
	d.problems.Report("path", pathProblems(troubles, len(results), d.watch.Here().Addr, d.cfg.Port, d.mtu)...)
}

// pathsNamed is how many data paths are named one by one.
const pathsNamed = 5

// pathProblems says what does not work, and what to do. probed is how many
// peers there are.
func pathProblems(troubles []pathTrouble, probed int, self netip.Addr, port uint16, mtu int) []problem.Problem {
	silent := func(t pathTrouble) bool { return t.State == probe.Failed && !t.Arriving && t.Refused == nil }
	if len(troubles) == probed && probed > 1 && !slices.ContainsFunc(troubles, func(t pathTrouble) bool { return !silent(t) }) {
		return []problem.Problem{{
			Text:   "no peer is reached: none answers, and nothing comes from any of them",
			Advice: fmt.Sprintf("open UDP port %d of %s on this host, and on the way to it (nft list ruleset; ufw status; firewall-cmd --list-all)", port, self),
		}}
	}
	var all []problem.Problem
	for i, t := range troubles {
		if i == pathsNamed {
			all = append(all, problem.Problem{Text: fmt.Sprintf("data paths to more than %d other peers do not work", pathsNamed), Advice: "see `flanneld nodes`"})
			break
		}
		all = append(all, t.problem(self, port, mtu))
	}
	return all
}

func (t pathTrouble) problem(self netip.Addr, port uint16, mtu int) problem.Problem {
	to := fmt.Sprintf("data path to %s at %s", t.name, t.endpoint)
	there := fmt.Sprintf("open UDP port %d on %s for %s", t.endpoint.Port(), t.name, self)
	switch {
	case t.State == probe.SmallOnly && t.static:
		return problem.Problem{
			Text:   fmt.Sprintf("%s takes small packets only: those of %d bytes are lost", to, t.Tried),
			Advice: fmt.Sprintf("its device may have a smaller MTU than %d: look there (ip link), and give that as --mtu here", mtu),
		}
	case t.State == probe.SmallOnly:
		return problem.Problem{
			Text:   fmt.Sprintf("%s takes small packets only: those of %d bytes are lost", to, t.Tried),
			Advice: fmt.Sprintf("find what drops large UDP datagrams on the way (tracepath -n %s), or start all nodes with a smaller --mtu", t.endpoint.Addr()),
		}
	case t.Refused != nil:
		advice := fmt.Sprintf("this host needs a route to %s, and its output rules must let UDP to it (ip route get %[1]s; nft list ruleset)", t.endpoint.Addr())
		return problem.Problem{Text: fmt.Sprintf("%s does not work: this host does not send there: %v", to, t.Refused), Advice: advice}
	case t.Arriving:
		return problem.Problem{Text: to + " does not work: packets come from it, but it does not answer", Advice: there + " (nft list ruleset; ufw status; firewall-cmd --list-all)"}
	}
	return problem.Problem{
		Text:   to + " does not work: it does not answer, and nothing comes from it",
		Advice: fmt.Sprintf("%s; and UDP port %d of this host for it", there, port),
	}
}
