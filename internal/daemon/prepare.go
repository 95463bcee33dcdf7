// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"flanneld/encap"
	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/envfile"
	"flanneld/internal/host/link"
	"flanneld/internal/host/privilege"
	"flanneld/internal/host/rundir"
	"flanneld/internal/host/underlay"
	"flanneld/internal/underlaywatch"
	"flanneld/internal/view"
	"flanneld/internal/web"
	"flanneld/peers"
	"flanneld/tun"
)

// prepare checks that everything can work, and takes what this process must
// have alone: state directory, ports, control socket. It changes nothing on the
// host and sends nothing to other nodes; on failure it gives everything back.
// It waits for an underlay that is not there yet, at most until ctx ends.
func (d *daemon) prepare(ctx context.Context) (err error) {
	if err := privilege.Check(); err != nil {
		return err
	}
	owner, err := link.Owned(d.cfg.Device)
	if err != nil {
		return err
	}
	if err := rundir.CheckTrust(d.cfg.StateDir, "--state-dir"); err != nil {
		return err
	}
	d.events.begin(d.cfg.StateDir, d.version)
	if err := rundir.CheckTrust(d.cfg.RunDir, "--run-dir"); err != nil {
		return err
	}
	if err := rundir.Make(d.cfg.RunDir); err != nil {
		return err
	}
	if err := envfile.CheckPlace(d.cfg.SubnetPath(), "--subnet-file"); err != nil {
		return err
	}
	if err := envfile.CheckPlace(d.cfg.DockerPath(), "--docker-file"); err != nil {
		return err
	}
	if err := d.prepareKey(); err != nil { // before prepare waits for an underlay
		return err
	}
	if err := d.beginWeb(); err != nil && !errors.Is(err, web.ErrNoAddress) {
		return err
	}
	if err := d.chooseUnderlay(ctx); err != nil {
		return err
	}
	if err := d.beginWeb(); err != nil {
		return err
	}
	if err := d.enterCluster(ctx); err != nil {
		return err
	}
	d.remember()
	d.rememberShortcut()
	if d.node, err = peers.Open(d.peersConfig()); err != nil {
		return err
	}
	d.events.keep(d.cfg.StateDir)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.node.Close())
		}
	}()
	if owner == link.Ours {
		if err := probeDevice(d.cfg.Device); err != nil {
			return err
		}
	}
	if d.planes.sockets, err = d.takeSockets(); err != nil {
		return err
	}
	d.view = d.newView()
	d.server, err = control.Listen(d.cfg.SocketPath(), api{d.view, d}, d.log)
	if err != nil {
		d.planes.sockets.Close()
	}
	return err
}

// newView makes what the control socket shows.
func (d *daemon) newView() *view.View {
	return view.New(view.Config{
		Config: d.cfg, Version: d.version, Started: d.started, MTU: d.mtu, Snapshot: d.node.Snapshot, Here: d.watch.Here,
		Routes: d.planes.routes, Totals: &d.planes.totals, Problems: d.problems, Live: d.planes.live, Check: d.checkHost,
		Unavailable: d.pathUnavailable, Sealing: d.sealStatus, Count: d.countShortcut, Refused: d.pathsRefused,
		HostShortcut: func() view.Shortcut {
			return view.Shortcut{On: d.shortcuts.on.Load(), Switched: d.shortcutSwitched(), State: d.shortcutState(), Left: d.shortcutLeft()}
		},
		Host: func() view.Host {
			g := d.guard.State()
			return view.Host{
				Firewall: string(g.Firewall), FirewallNote: g.FirewallNote, FirewallRepairs: g.FirewallRepairs,
				DeviceRepairs: g.DeviceRepairs, Repairs: g.Repairs, ForwardingChanged: g.ForwardingChanged, ReadyAfter: time.Duration(d.ready.Load()),
			}
		},
	})
}

// probeDevice refuses a device that a daemon with another state directory uses,
// before a lease is claimed for nothing.
func probeDevice(name string) error {
	device, err := tun.Open(tun.Config{Name: name})
	if errors.Is(err, tun.ErrBusy) {
		return fmt.Errorf("device %s: %w: stop that flanneld, or give this one a --device of its own", name, tun.ErrBusy)
	}
	if err != nil {
		return err
	}
	return device.Close()
}

// chooseUnderlay finds the underlay, waiting for it where time may bring it.
func (d *daemon) chooseUnderlay(ctx context.Context) error {
	u, err := d.awaitUnderlay(ctx)
	if err != nil {
		return err
	}
	d.loopback = u.Addr.IsLoopback()
	d.mtu = min(u.MTU-d.cfg.Overhead(), encap.MaxPayload)
	if d.cfg.MTU > d.mtu {
		return fmt.Errorf("--mtu %d: more than the paths of --backend %s take on %s (MTU %d): give at most %d",
			d.cfg.MTU, d.cfg.Backend, u.Interface, u.MTU, d.mtu)
	}
	if d.cfg.MTU != 0 {
		d.mtu = d.cfg.MTU
	}
	if !d.cfg.Sealed {
		d.log.Warn("packets are not sealed: run this on an underlay you trust")
	}
	if err := d.checkExposure(u); err != nil {
		return err
	}
	d.watch = underlaywatch.New(underlaywatch.Config{
		Options: d.underlayOptions(), Here: u, MTU: d.mtu, Overhead: d.cfg.Overhead(), Seeds: d.cfg.Join, Mover: mover{d}, Problems: d.problems, Log: d.log,
	})
	d.log.Info("underlay chosen", "underlay", u, "mtu", d.mtu)
	if err := d.skipSelf(u); err != nil {
		return err
	}
	return d.cfg.CheckStaticPeers(d.cfg.Network, netip.Prefix{}, d.loopback)
}

func (d *daemon) underlayOptions() underlay.Options {
	return underlay.Options{
		Iface: d.cfg.Iface, IfaceRegex: d.cfg.IfaceRegex, CanReach: d.cfg.IfaceCanReach,
		PublicIP: d.cfg.PublicIP, Device: d.cfg.Device,
	}
}

// checkExposure demands a cluster key where strangers can reach the gossip.
func (d *daemon) checkExposure(u underlay.Underlay) error {
	if d.cfg.KeyFile != "" {
		return nil
	}
	for _, a := range []netip.Addr{u.Addr, u.PublicAddr} {
		if !sheltered(a) && !d.cfg.Insecure {
			return fmt.Errorf("%s is a public address and there is no cluster key: any host that reaches it could join; give --key-file (flanneld keygen makes a key), or --insecure to start all the same", a)
		}
	}
	return nil
}

// sheltered addresses are not reached from the Internet: RFC 1918, loopback,
// link local, those of test networks (RFC 2544), and those shared behind a
// carrier's NAT (RFC 6598). Overlays like Tailscale use the last ones, too.
func sheltered(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a) || benchSpace.Contains(a)
}

var (
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
	benchSpace  = netip.MustParsePrefix("198.18.0.0/15")
)

func (d *daemon) peersConfig() peers.Config {
	c := d.cfg
	p := peers.Config{
		StateDir: c.StateDir, Network: c.Network, SubnetLen: c.SubnetLen, SubnetMin: c.SubnetMin, SubnetMax: c.SubnetMax,
		Subnet: c.Subnet, Join: c.Join, Advertise: d.watch.Here().PublicAddr, Bind: d.watch.Here().Addr,
		GossipPort: c.GossipPort, DataPort: c.Port, Name: nodeName(c.NodeName), MTU: d.mtu, Caps: d.capabilities(nil), LeaseTTL: c.LeaseTTL,
		KeyFile: c.KeyFile, Sealed: c.Sealed, CheckNetwork: d.checkNetwork, Report: d.report, Answer: d.answer, Logger: d.log,
		InUse: d.containersUseLease, Prefer: d.preferred(), Sources: d.sources(), Election: d.election(), PinWaits: d.cluster.pins(), Witness: d.witness,
	}
	for _, static := range c.StaticPeers {
		p.Reserved = append(p.Reserved, peers.Reservation{Subnet: static.Subnet, Endpoint: static.Endpoint})
	}
	if c.OnConflict == config.Wait {
		p.OnConflict = peers.Wait
	}
	return p
}

// witness is what this node tells another one that examines it. peers may ask
// before there is a view.
func (d *daemon) witness(id peers.NodeID) peers.Witness {
	w := peers.Witness{Version: d.version}
	if live := d.planes.current(); live != nil {
		w.Path, w.Stray = d.view.PathTo(id), d.view.StrayOf(id)
	}
	return w
}

// nodeName is the host's name where none was given.
func nodeName(given string) string {
	if given != "" {
		return given
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "unnamed"
	}
	return name
}

// containersUseLease is called by peers after a lease was lost. When the host
// cannot be read, the answer is yes: no container loses its address on a guess.
func (d *daemon) containersUseLease() bool {
	found, err := bridge.List()
	if err != nil {
		d.log.Warn("cannot read whether containers use the lease; assuming that they do", "error", err)
		return true
	}
	return bridge.InUse(found, d.leaseOnDisk())
}

// leaseOnDisk is the lease in subnet.env, zero when there is none: the one the
// containers of this host were started with.
func (d *daemon) leaseOnDisk() netip.Prefix {
	s, err := envfile.Read(d.cfg.SubnetPath())
	if err != nil {
		return netip.Prefix{}
	}
	return s.Lease()
}
