// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/netip"

	"flanneld/internal/host"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/docker"
	"flanneld/internal/host/envfile"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/identity"
	"flanneld/internal/host/kernelpath"
	"flanneld/internal/host/link"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/rundir"
	"flanneld/internal/host/shortcut"
	"flanneld/internal/problem"
)

// Places is where on the host the parts are.
type Places struct {
	Device       string // the overlay device
	RunDir       string
	SubnetFile   string
	DockerFile   string
	DockerConfig string    // dockerd's daemon.json
	UID          uint32    // the user that may send beside root
	Socket       host.Part // the control socket
}

// Parts are what flanneld keeps on a host. How each should be is known later,
// with a lease; see Guard.
type Parts struct {
	RunDir       rundir.Part
	Socket       host.Part
	Ports        *ports.Part
	PathRules    *pathrules.Part
	Device       *link.Device
	Forwarding   *link.Forwarding
	Paths        *kernelpath.Part
	Shortcut     *shortcut.Part
	Addresses    *identity.Part
	Firewall     *firewall.Part
	Subnet       *envfile.File
	Docker       *envfile.File
	Bridge       *bridge.Part
	DockerConfig *docker.ConfigFile
	Others       *Others
}

// NewParts makes the parts, for a running daemon or for a stopped one. Nothing
// on the host is changed.
func NewParts(p Places) (*Parts, error) {
	table, err := ports.NewPart(p.Device, p.UID)
	if err != nil {
		return nil, err
	}
	paths := pathrules.NewPart(p.Device, p.UID)
	return &Parts{
		RunDir: rundir.NewPart(p.RunDir), Socket: p.Socket, Ports: table, PathRules: paths,
		Device: link.NewDevice(p.Device), Forwarding: link.NewForwarding(p.Device),
		Paths: kernelpath.NewPart(p.Device), Shortcut: shortcut.NewPart(p.Device), Addresses: identity.NewPart(p.Device), Firewall: firewall.NewPart(p.Device),
		Subnet: envfile.NewFile(problem.PartSubnetFile, p.SubnetFile), Docker: envfile.NewFile(problem.PartDockerFile, p.DockerFile),
		Bridge: bridge.NewPart(p.DockerFile), DockerConfig: docker.NewConfigFile(p.DockerConfig), Others: &Others{ports: table.Wanted, paths: paths.Wanted},
	}, nil
}

// List is the one list of parts, in the order in which they are set up. The
// guard ensures it, status checks it, leaving and cleaning up remove it.
func (p *Parts) List() host.List {
	return host.List{p.RunDir, p.Socket, p.Ports, p.PathRules, p.Device, p.Forwarding, p.Paths, p.Shortcut, p.Addresses, p.Firewall, p.Subnet,
		p.Docker, p.Bridge, p.DockerConfig, p.Others}
}

// Want sets how the parts of a data plane should be, except for its files.
func (p *Parts) Want(t Target) (*firewall.Firewall, error) {
	rules, err := firewall.New(t.Rules)
	if err != nil {
		return nil, err
	}
	p.Device.Want(&t.Device)
	p.Forwarding.Want(t.Rules.Lease)
	p.Addresses.Want(addresses(t.Rules))
	p.Firewall.Want(rules)
	p.Bridge.Want(t.Rules.Network, t.Rules.Lease)
	p.DockerConfig.Want(t.Rules.Network, t.Rules.Lease, t.Device.MTU)
	p.Others.Want(t.Rules)
	return rules, nil
}

// addresses is what the same rules are for the table of package identity.
func addresses(c firewall.Config) *identity.Config {
	return &identity.Config{
		Network: c.Network, Lease: c.Lease, Masquerade: c.Masquerade,
		Device: c.Device, Tunnels: c.Tunnels, Direct: c.Direct, Underlay: c.Underlay,
	}
}

// forget undoes Want. When it returns, device and files are not touched any
// more.
func (p *Parts) forget() {
	p.Device.Want(nil)
	p.Forwarding.Want(netip.Prefix{})
	p.Paths.Want(nil)
	p.Addresses.Want(nil)
	p.Firewall.Want(nil)
	p.Subnet.Want(nil)
	p.Docker.Want(nil)
	p.Bridge.Want(netip.Prefix{}, netip.Prefix{})
	p.DockerConfig.Want(netip.Prefix{}, netip.Prefix{}, 0)
	p.Others.Want(firewall.Config{})
}
