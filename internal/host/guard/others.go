// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/identity"
	"flanneld/internal/host/nft"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
	"flanneld/internal/problem"
)

// judgePace is for what is only named, and not put back: that can wait longer.
// What is read is all rules in the way, so that the pause grows with the cost.
var judgePace = host.Pace{Delay: pace.Delay, Min: time.Second, Max: rareInterval, Factor: 50}

// Others finds rules of other programs that drop what must pass, or that give
// it another source address before flanneld can keep its own, as a part of the
// host. It changes nothing: such rules may be meant.
type Others struct {
	ports func() (members []ports.Member, underlay string)
	paths func() *pathrules.Config // nil: no kernel paths

	mu   sync.Mutex
	want firewall.Config // without a network nothing has to pass yet

	looking sync.Mutex // held while rules are read, which may take seconds
	last    judgement
}

// judgement is what a look at the rules found.
type judgement struct {
	stamp string         // of the rules that were looked at; "": not known
	flows []ruleset.Flow // that were judged; nil: there was no look
	drops string         // the first rule that drops what must pass; "": none does
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

// Want sets between which addresses, and by which devices traffic must pass;
// zero for none.
func (o *Others) Want(c firewall.Config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.want = c
}

// Name is "rules".
func (*Others) Name() string { return problem.PartRules }

// Ensure changes nothing. Its error names each rule that drops what must pass,
// with advice. Rules that cannot be read are errJudge.
func (o *Others) Ensure(ctx context.Context) ([]string, error) {
	want := o.wanted()
	if !want.Network.IsValid() {
		return nil, nil
	}
	o.looking.Lock()
	defer o.looking.Unlock()
	return nil, o.judge(ctx, want, o.flows(want))
}

func (o *Others) wanted() firewall.Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.want
}

// judge looks at the rules, and remembers what it found. o.looking is held.
func (o *Others) judge(ctx context.Context, want firewall.Config, flows []ruleset.Flow) error {
	stamp, began := ruleset.Stamp(), time.Now()
	// flannelds' own tables drop what must not pass.
	blocked, err := ruleset.BlockedFlows(ctx, flows, nft.TablePrefix)
	if err != nil {
		err = fmt.Errorf("%w: %w: %w", host.ErrPending, errJudge, err)
	}
	all, drops := []error{err}, ""
	for _, b := range blocked {
		drops = cmp.Or(drops, describe(b))
		all = append(all, host.Advise(errors.New(describe(b)), adviceFor(b, want.Network)))
	}
	if err == nil { // without nf_tables there are no such chains
		all = append(all, hidden(want)...)
	}
	err = host.Join(all...)
	if ctx.Err() == nil {
		o.last = judgement{stamp: stamp, flows: flows, drops: drops, err: err, ended: time.Now(), took: time.Since(began)}
	}
	return err
}

// dropping names the rule of another program that was found to drop what must
// pass; "": none.
func (o *Others) dropping() string {
	o.looking.Lock()
	defer o.looking.Unlock()
	return o.last.drops
}

// hidden returns a problem for each chain that hides the addresses of this
// host's containers.
func hidden(want firewall.Config) (all []error) {
	translated, err := ruleset.TranslatedFlows(sourceFlows(want), identity.Priority, nft.TablePrefix)
	if err != nil {
		all = append(all, fmt.Errorf("%w: %w: %w", host.ErrPending, errJudge, err))
	}
	named := map[ruleset.Chain]bool{}
	for _, b := range translated {
		if named[b.Chain] { // by another device
			continue
		}
		named[b.Chain], b.Flow.To = true, want.Network
		all = append(all, host.Advise(errors.New(describeTranslated(b)), adviceFor(b, want.Network)))
	}
	return all
}

// errJudge: some rules could not be read.
var errJudge = errors.New("cannot judge other programs' rules")

// Check returns which rules drop what must pass. It looks at rules that have
// changed, at the pace of the guard. While the guard looks, the error is
// host.ErrPending.
func (o *Others) Check(ctx context.Context) (wrong []string, err error) {
	want := o.wanted()
	if !want.Network.IsValid() {
		return nil, nil
	}
	if !o.looking.TryLock() {
		return nil, host.ErrPending
	}
	defer o.looking.Unlock()
	if flows := o.flows(want); o.last.holds(flows) {
		err = o.last.err
	} else {
		err = o.judge(ctx, want, flows)
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
func (o *Others) flows(want firewall.Config) []ruleset.Flow {
	found, _ := bridge.List() // without an answer there is no bridge yet
	flows := bridgeFlows(want, bridge.OfLease(found, want.Lease))
	members, underlay := o.ports()
	for _, m := range members {
		if m.Self { // the address that is bound; the announced one may be a router's
			flows = append(flows, portFlows(m, underlay)...)
			break
		}
	}
	if c := o.paths(); c != nil {
		flows = append(flows, tunnelFlows(*c)...)
		flows = append(flows, proofFlows(want)...)
	}
	return flows
}

// proofFlows is what other hosts prove their kernel paths to this one by. Where
// it is dropped, they do without such paths.
func proofFlows(want firewall.Config) (flows []ruleset.Flow) {
	own := netip.PrefixFrom(want.Lease.Addr(), want.Lease.Addr().BitLen())
	proof := func(path, device string) {
		flows = append(flows, ruleset.Flow{
			Name:  fmt.Sprintf("by ICMP that proves the %s, from other hosts to %s", path, own.Addr()),
			Hooks: []string{"prerouting", "input"}, In: device, From: want.Network, To: own, Proto: packet.ICMP,
		})
	}
	for _, device := range want.Tunnels {
		proof("path "+device, device)
	}
	if want.Direct != "" {
		proof("direct path", want.Direct)
	}
	return flows
}

// bridgeFlows is what passes between the ways to other hosts and each bridge of
// the lease. Where there is no bridge yet, it is what would pass to any.
func bridgeFlows(want firewall.Config, bridges []string) (flows []ruleset.Flow) {
	several := len(bridges) > 1
	if len(bridges) == 0 {
		bridges = []string{""}
	}
	for _, b := range bridges {
		behind := ""
		if several {
			behind = " behind " + b
		}
		flows = append(flows, containerFlows(want, want.Device, b, behind)...)
		for _, device := range want.Tunnels {
			flows = append(flows, containerFlows(want, device, b, behind+", by "+device)...)
		}
		if want.Direct != "" {
			flows = append(flows, containerFlows(want, want.Direct, b, behind+", directly by "+want.Direct)...)
		}
	}
	return flows
}

// containerFlows is what passes between a device and this host's containers.
func containerFlows(want firewall.Config, device, containers, by string) []ruleset.Flow {
	forward := []string{"prerouting", "forward", "postrouting"}
	return []ruleset.Flow{
		{Name: "by TCP from other hosts' containers to this host's" + by, Hooks: forward,
			In: device, Out: containers, From: want.Network, To: want.Lease, Proto: packet.TCP},
		{Name: "by TCP from this host's containers to other hosts'" + by, Hooks: forward,
			In: containers, Out: device, From: want.Lease, To: want.Network, Proto: packet.TCP},
	}
}

// sourceFlows is what must keep its source address when it leaves this host: to
// a part of the network that is not the lease, so that a rule that spares the
// lease is seen.
func sourceFlows(want firewall.Config) (flows []ruleset.Flow) {
	bits := want.Lease.Bits()
	if bits == want.Network.Bits() {
		return nil
	}
	other := want.Lease.Addr().As4()
	other[(bits-1)/8] ^= 1 << (7 - (bits-1)%8)
	to := netip.PrefixFrom(netip.AddrFrom4(other), bits)
	devices := append([]string{want.Device}, want.Tunnels...)
	if want.Direct != "" {
		devices = append(devices, want.Direct)
	}
	for _, device := range devices {
		flows = append(flows, ruleset.Flow{
			Name: "from this host's containers to other hosts' by " + device, Out: device, From: want.Lease, To: to, Proto: packet.TCP,
		})
	}
	return flows
}

// tunnelFlows is what must reach this host's tunnels.
func tunnelFlows(c pathrules.Config) (flows []ruleset.Flow) {
	outer := ruleset.Flow{Hooks: []string{"prerouting", "input"}, In: c.Underlay, To: netip.PrefixFrom(c.Local, c.Local.BitLen())}
	if c.VXLAN {
		f := outer
		f.Name, f.Proto, f.Port = fmt.Sprintf("to the VXLAN port (UDP %d)", c.VXLANPort), packet.UDP, c.VXLANPort
		flows = append(flows, f)
	}
	if c.IPIP {
		f := outer
		f.Name, f.Proto = "by IPIP (IP protocol 4)", protoIPIP
		flows = append(flows, f)
	}
	return flows
}

// protoIPIP is IANA's number of IPv4 in IPv4.
const protoIPIP = 4

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
		Every: interval, Pace: judgePace, Wake: g.othersWake, Rules: rules.Changed, Pulse: g.pulses.of(g.parts.Others),
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
	g.keeper.Board.Report(g.parts.Others.Name(), host.Problems(err)...)
	overruled := g.parts.Others.dropping()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overruled = overruled
}
