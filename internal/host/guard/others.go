// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
	"flanneld/internal/problem"
)

// judgePace is for what is only named, and not put back: that can wait longer.
// What is read is all rules in the way, so that the pause grows with the cost.
var judgePace = host.Pace{Delay: pace.Delay, Min: time.Second, Max: rareInterval, Factor: 50}

// Others finds rules of other programs that drop what must pass, as a part of
// the host. It changes nothing: such rules may be meant.
type Others struct {
	device string
	ports  func() (members []ports.Member, underlay string)

	mu      sync.Mutex
	network netip.Prefix // zero: nothing has to pass yet
	lease   netip.Prefix

	looking sync.Mutex // held while rules are read, which may take seconds
	last    judgement
}

// judgement is what a look at the rules found.
type judgement struct {
	stamp string         // of the rules that were looked at; "": not known
	flows []ruleset.Flow // that were judged; nil: there was no look
	err   error
	ended time.Time
	took  time.Duration
}

// holds reports whether another look would find the same, or comes too soon.
func (j judgement) holds(flows []ruleset.Flow) bool {
	if j.flows == nil || !reflect.DeepEqual(j.flows, flows) {
		return false
	}
	return j.stamp != "" && j.stamp == ruleset.Stamp() || time.Since(j.ended) < judgePace.Pause(j.took)
}

// Want sets between which addresses traffic must pass; zero for none.
func (o *Others) Want(network, lease netip.Prefix) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.network, o.lease = network, lease
}

// Name is "rules".
func (*Others) Name() string { return problem.PartRules }

// Ensure changes nothing. Its error names each rule that drops what must pass,
// with advice. Rules that cannot be read are errJudge.
func (o *Others) Ensure(ctx context.Context) ([]string, error) {
	network, lease := o.wanted()
	if !network.IsValid() {
		return nil, nil
	}
	o.looking.Lock()
	defer o.looking.Unlock()
	return nil, o.judge(ctx, network, o.flows(network, lease))
}

func (o *Others) wanted() (network, lease netip.Prefix) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.network, o.lease
}

// judge looks at the rules, and remembers what it found. o.looking is held.
func (o *Others) judge(ctx context.Context, network netip.Prefix, flows []ruleset.Flow) error {
	stamp, began := ruleset.Stamp(), time.Now()
	// flannelds' own tables judge nothing but traffic to the ports.
	blocked, err := ruleset.BlockedFlows(ctx, flows, ports.TablePrefix)
	if err != nil {
		err = fmt.Errorf("%w: %w: %w", host.ErrPending, errJudge, err)
	}
	all := []error{err}
	for _, b := range blocked {
		all = append(all, host.Advise(errors.New(describe(b)), adviceFor(b, network)))
	}
	err = host.Join(all...)
	if ctx.Err() == nil {
		o.last = judgement{stamp: stamp, flows: flows, err: err, ended: time.Now(), took: time.Since(began)}
	}
	return err
}

// errJudge: some rules could not be read.
var errJudge = errors.New("cannot judge other programs' rules")

// Check returns which rules drop what must pass. It looks at rules that have
// changed, at the pace of the guard. While the guard looks, the error is
// host.ErrPending.
func (o *Others) Check(ctx context.Context) (wrong []string, err error) {
	network, lease := o.wanted()
	if !network.IsValid() {
		return nil, nil
	}
	if !o.looking.TryLock() {
		return nil, host.ErrPending
	}
	defer o.looking.Unlock()
	if flows := o.flows(network, lease); o.last.holds(flows) {
		err = o.last.err
	} else {
		err = o.judge(ctx, network, flows)
	}
	for _, p := range host.Problems(err) {
		wrong = append(wrong, p.Text)
	}
	if !errors.Is(err, errJudge) {
		err = nil
	}
	return wrong, err
}

// Remove does nothing: the rules are not flanneld's.
func (*Others) Remove(context.Context) error { return nil }

// flows is what must pass on this host.
func (o *Others) flows(network, lease netip.Prefix) []ruleset.Flow {
	forward := []string{"prerouting", "forward", "postrouting"}
	containers := bridge.OfLease(lease)
	flows := []ruleset.Flow{
		{Name: "by TCP from other hosts' containers to this host's", Hooks: forward,
			In: o.device, Out: containers, From: network, To: lease, Proto: packet.TCP},
		{Name: "by TCP from this host's containers to other hosts'", Hooks: forward,
			In: containers, Out: o.device, From: lease, To: network, Proto: packet.TCP},
	}
	members, underlay := o.ports()
	for _, m := range members {
		if m.Self { // the address that is bound; the announced one may be a router's
			return append(flows, portFlows(m, underlay)...)
		}
	}
	return flows
}

var protoNames = map[byte]string{packet.TCP: "tcp", packet.UDP: "udp"}

// portFlows is what must reach this host's own ports.
func portFlows(m ports.Member, underlay string) (flows []ruleset.Flow) {
	own := netip.PrefixFrom(m.Addr, m.Addr.BitLen())
	for _, port := range []struct {
		name   string
		proto  byte
		number uint16
	}{{"data port (UDP", packet.UDP, m.Data}, {"gossip port (TCP", packet.TCP, m.Gossip}, {"gossip port (UDP", packet.UDP, m.Gossip}} {
		if port.number == 0 {
			continue
		}
		flows = append(flows, ruleset.Flow{
			Name: fmt.Sprintf("to the %s %d)", port.name, port.number), Hooks: []string{"prerouting", "input"},
			In: underlay, To: own, Proto: port.proto, Port: port.number,
		})
	}
	return flows
}

// othersLoop judges other programs' rules after changes, and rarely otherwise.
func (g *Guard) othersLoop(ctx context.Context) {
	rules := g.hub.Subscribe()
	defer rules.Close()
	host.Loop{
		Every: interval, Pace: judgePace, Wake: g.othersWake, Rules: rules.Changed,
		OnWake: (*host.Schedule).Soon,
		OnRules: func(s *host.Schedule) {
			if rules.Take().Legacy {
				s.Now()
				return
			}
			s.Soon()
		},
		OnTick: func(s *host.Schedule) {
			if s.Since() >= rareInterval && g.current() != nil {
				s.Now()
			}
		},
		Round: func(context.Context) { g.othersRound() },
	}.Run(ctx)
}

// othersRound names what drops overlay traffic, or traffic to the ports.
func (g *Guard) othersRound() {
	t := g.current()
	if t == nil {
		return
	}
	_, err := g.parts.Others.Ensure(t.ctx)
	if t.ctx.Err() != nil {
		return
	}
	if errors.Is(err, errJudge) {
		g.log.Debug("cannot judge other programs' rules", "error", err)
	}
	found := host.Problems(err)
	g.keeper.Board.Report(g.parts.Others.Name(), found...)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overruled = ""
	if len(found) > 0 {
		g.overruled = found[0].Text
	}
}
