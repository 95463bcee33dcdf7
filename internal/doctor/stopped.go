// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/envfile"
	"flanneld/internal/host/link"
	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// stopped looks at what a start would stumble over, where no daemon runs.
func (e *exam) stopped(ctx context.Context) {
	if e.running {
		return
	}
	here := e.underlay()
	e.freePorts(here)
	e.foreignDevice()
	had := e.earlier()
	e.overlaps(had)
	e.subnetFile(had)
	e.leftParts(ctx)
}

// underlay chooses the underlay as a start would.
func (e *exam) underlay() netip.Addr {
	c := e.Config
	u, err := underlay.Choose(underlay.Options{
		Iface: c.Iface, IfaceRegex: c.IfaceRegex, CanReach: c.IfaceCanReach, PublicIP: c.PublicIP, Device: c.Device,
	})
	switch {
	case errors.Is(err, underlay.ErrNotYet):
		e.broken("network", problem.PartUnderlay, "a start would wait: "+err.Error(), "bring up the interface, its address and a route (ip address; ip route), or name another with --iface")
	case err != nil:
		e.broken("network", problem.PartUnderlay, err.Error(), "name the interface or its address with --iface (ip address shows them)")
	default:
		e.ok("network", problem.PartUnderlay, "%s on %s, MTU %d", u.Addr, u.Interface, u.MTU)
	}
	return u.Addr
}

// freePorts binds the ports for a moment, as a start would.
func (e *exam) freePorts(here netip.Addr) {
	if !here.IsValid() {
		e.skip("network", "free ports", "without an underlay address they cannot be tried", "see the line underlay")
		return
	}
	c := e.Config
	var taken, odd []string
	for _, p := range []struct {
		flag, protocol string
		port           uint16
		bind           func(netip.AddrPort) error
	}{
		{"--port", "UDP", c.Port, bindUDP}, {"--gossip-port", "TCP", c.GossipPort, bindTCP}, {"--gossip-port", "UDP", c.GossipPort, bindUDP},
	} {
		switch err := p.bind(netip.AddrPortFrom(here, p.port)); {
		case errors.Is(err, syscall.EADDRINUSE):
			taken = append(taken, fmt.Sprintf("%s port %d (%s)", p.protocol, p.port, p.flag))
		case err != nil:
			odd = append(odd, err.Error())
		}
	}
	switch {
	case len(taken) > 0:
		e.broken("network", "free ports", "another program has "+strings.Join(taken, ", "), fmt.Sprintf("find it with: ss -lntup | grep -E ':(%d|%d) '; stop it, or choose other ports", c.Port, c.GossipPort))
	case len(odd) > 0:
		e.skip("network", "free ports", strings.Join(odd, "; "), "see: ss -lntup")
	default:
		e.ok("network", "free ports", "UDP %d, TCP and UDP %d of %s are free", c.Port, c.GossipPort, here)
	}
}

func bindUDP(at netip.AddrPort) error {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	return c.Close()
}

func bindTCP(at netip.AddrPort) error {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	return l.Close()
}

// foreignDevice looks for another program's device of that name.
func (e *exam) foreignDevice() {
	name := e.Config.Device
	owner, err := link.Owned(name)
	switch {
	case errors.Is(err, link.ErrForeign):
		e.broken("host", problem.PartDevice, err.Error(), fmt.Sprintf("stop the program that made it (flannel?), then ip link delete %s; or name another with --device", name))
	case err != nil:
		e.skipErr("host", problem.PartDevice, err, "ip -d link show "+name)
	case owner == link.Ours:
		e.ok("host", problem.PartDevice, "%s of an earlier start is there", name)
	default:
		e.ok("host", problem.PartDevice, "%s is not there; a start makes it", name)
	}
}

// overlaps looks for addresses and routes in the network's way. A start goes on
// in spite of them where this host has a lease in the network, and is refused
// where it has only bridges there.
func (e *exam) overlaps(had earlier) {
	network := e.expectedNetwork(had)
	if !network.IsValid() {
		e.ok("network", problem.PartOverlap, "the network is learned from the nodes to join")
		return
	}
	ours := had.leasesIn(network)
	held := len(ours) > 0
	if found, err := bridge.List(); err == nil {
		ours = append(ours, bridge.Subnets(found, network, e.Config.SubnetLenOf(network))...)
	}
	found, err := underlay.Overlaps(network, e.Config.Device, ours...)
	if err != nil {
		e.skipErr("network", problem.PartOverlap, err, "ip route")
		return
	}
	clear := true
	for _, o := range found {
		if o.Shadowed {
			continue
		}
		clear = false
		text, advice := fmt.Sprintf("network %s overlaps %s", network, o.What), o.Remedy+", or start with --allow-overlap"
		if e.Config.AllowOverlap || held {
			e.warn("network", problem.PartOverlap, text, advice)
		} else {
			e.broken("network", problem.PartOverlap, text, advice)
		}
	}
	if clear {
		e.ok("network", problem.PartOverlap, "network %s overlaps nothing of this host", network)
	}
}

// earlier is what starts before have left in files.
type earlier struct {
	state   peers.Known    // zero also where it cannot be read: that has a line of its own
	env     envfile.Subnet // of subnet.env
	missing error          // why there is no env
}

func (e *exam) earlier() (had earlier) {
	had.state, _ = peers.Peek(e.file(e.Config.StateDir))
	had.env, had.missing = envfile.Read(e.file(e.Config.SubnetPath()))
	return had
}

// expectedNetwork is what a start would use.
func (e *exam) expectedNetwork(had earlier) netip.Prefix {
	switch {
	case had.state.Network.IsValid():
		return had.state.Network
	case had.missing == nil && had.env.Network.IsValid():
		return had.env.Network
	case e.Config.Network.IsValid():
		return e.Config.Network
	case e.Config.Founds():
		return peers.DefaultNetwork
	}
	return netip.Prefix{}
}

// leasesIn are the leases that this host has in a network: that of its state,
// and that of subnet.env.
func (had earlier) leasesIn(network netip.Prefix) (leases []netip.Prefix) {
	both := []netip.Prefix{had.state.Subnet}
	if had.missing == nil {
		both = append(both, had.env.Lease())
	}
	for _, lease := range both {
		if lease.IsValid() && network.Contains(lease.Addr()) {
			leases = append(leases, lease)
		}
	}
	return leases
}

// subnetFile looks for a subnet.env that another program has written.
func (e *exam) subnetFile(had earlier) {
	const anew = "a start of flanneld writes it anew"
	path, s, err, known := e.Config.SubnetPath(), had.env, had.missing, had.state.Network
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("daemon", problem.PartSubnetFile, "%s is not there; a start writes it", path)
	case err != nil:
		e.warn("daemon", problem.PartSubnetFile, err.Error(), "see what wrote it: ls -l "+path+"; "+anew)
	case known.IsValid() && s.Network != known:
		e.warn("daemon", problem.PartSubnetFile, fmt.Sprintf("%s is of the network %s, and this node is in %s: another program has written it (flannel?)", path, s.Network, known),
			"stop that program (systemctl disable --now flannel); "+anew)
	default:
		e.ok("daemon", problem.PartSubnetFile, "%s has %s of %s", path, s.Subnet, s.Network)
	}
}

// foreseen are parts that a start puts right, so that the daemon's absence is
// what is wrong.
func foreseen(name string) bool {
	switch name {
	case problem.PartRules, problem.PartBridge, problem.PartDockerConfig:
		return false
	}
	return true
}

// leftParts compares what is on the host with subnet.env. What a start mends is
// worth a warning at most.
func (e *exam) leftParts(ctx context.Context) {
	found, err := e.Check(ctx)
	if err != nil {
		e.skip("host", "parts", "there is nothing to compare with: "+err.Error(), "start flanneld")
		return
	}
	for _, f := range found {
		about, known := parts[f.Part]
		switch {
		case !known, f.Part == problem.PartSubnetFile, f.Part == problem.PartDevice && errors.Is(f.Err, link.ErrNoDevice):
			// named above
		case errors.Is(f.Err, host.ErrPending):
			e.skip(about.group, f.Part, "rules could not be read", asRoot)
		case f.Err != nil:
			e.skipErr(about.group, f.Part, f.Err, "start flanneld, then flanneld doctor again")
		case len(f.Wrong) == 0 && f.Part == problem.PartDevice: // named above
		case len(f.Wrong) == 0:
			e.ok(about.group, f.Part, "%s", about.well)
		case foreseen(f.Part):
			e.warn(about.group, f.Part, strings.Join(f.Wrong, "; "), "a start puts it right: systemctl start flanneld")
		default:
			e.judgePart(f.Part, about, control.Problem{Text: strings.Join(f.Wrong, "; ")})
		}
	}
}
