package daemon

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/tun"
)

// mirrorID is the only target of a mirror.
const mirrorID = "mirror"

// errNoQueue is why a mirror sends nothing.
var errNoQueue = errors.New("the device has no queue")

// newMirror makes the prober of this host's own device. It gives its kernel
// packets as if they came from a peer. Their overlay source is one that no node
// has, so that the answers come back here. What drops packets of peers between
// the device and this host's network stack, and answers on their way out, drops
// these.
func (d *daemon) newMirror(p *plane) *probe.Prober {
	source := p.network.Addr().Next()
	var m *probe.Prober
	m = probe.New(probe.Config{
		Source:  source,
		Send:    func(_ netip.AddrPort, packet []byte) (int, error) { return p.write(packet) },
		Changed: func() { d.reportMirror(p, m.Results()[mirrorID]) },
	})
	return m
}

// write gives this host's kernel a packet, as if a peer had sent it.
func (p *plane) write(packet []byte) (int, error) {
	queues := p.device.Queues()
	if len(queues) == 0 {
		return 0, errNoQueue
	}
	err := queues[0].Write(packet)
	if errors.Is(err, tun.ErrDeviceDown) || errors.Is(err, tun.ErrDeviceGone) {
		return 0, nil // it is put right, or made again
	}
	return 0, err
}

// mirrorTarget is what a mirror probes: nothing where some node has its source.
func (d *daemon) mirrorTarget(p *plane) []probe.Target {
	if _, leased := d.routing.table.Lookup(p.network.Addr().Next()); leased {
		return nil
	}
	return []probe.Target{{ID: mirrorID, Lease: p.lease, Longest: func() int { return d.mtu }}}
}

func (d *daemon) reportMirror(p *plane, r probe.Result) {
	var problems []problem.Problem
	name := p.link.Name
	advice := fmt.Sprintf("look for rules that drop packets of %s, in every table (nft list ruleset; iptables-save; iptables-legacy-save), and at rp_filter", name)
	switch r.State {
	case probe.Failed:
		problems = append(problems, problem.Problem{
			Text: fmt.Sprintf("packets from peers get no answer from this host: they are dropped behind %s, or the answers before it", name), Advice: advice,
		})
	case probe.SmallOnly:
		problems = append(problems, problem.Problem{
			Text: fmt.Sprintf("large packets from peers get no answer from this host: they are dropped behind %s, or the answers before it", name), Advice: advice,
		})
	}
	d.problems.Report("mirror", problems...)
}
