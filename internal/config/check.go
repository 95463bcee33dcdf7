// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"strconv"

	"flanneld/peers"
)

// MaxSubnetLen is the length of the smallest subnet that can be leased.
const MaxSubnetLen = 30

const (
	// maxSubnetLen: a subnet needs an address for the device, one for the
	// bridge and at least one for a container.
	maxSubnetLen = MaxSubnetLen
	// maxNetworkLen leaves room for four subnets of maxSubnetLen.
	maxNetworkLen = maxSubnetLen - 2
	// minNetworkLen is the largest block for private use (10/8).
	minNetworkLen = 8
)

// check holds the settings against one another.
func (c *Config) check() error {
	if c.Port == c.GossipPort {
		return c.fault("gossip-port", strconv.Itoa(int(c.GossipPort)), "is the data port (--port) as well; both are UDP, give them different ones")
	}
	if err := c.checkMetrics(); err != nil {
		return err
	}
	if err := c.checkFiles(); err != nil {
		return err
	}
	if err := c.checkBackend(); err != nil {
		return err
	}
	if err := c.checkSealed(); err != nil {
		return err
	}
	network, known := c.knownNetwork()
	if known {
		if err := c.checkNetwork(network); err != nil {
			return err
		}
		if err := c.checkRange(network); err != nil {
			return err
		}
	}
	if c.SubnetMin.IsValid() && c.SubnetMax.IsValid() && c.SubnetMax.Less(c.SubnetMin) {
		return c.fault("subnet-max", "", "lies below --subnet-min %s", c.SubnetMin)
	}
	if err := c.checkPin(network); err != nil {
		return err
	}
	for _, p := range c.StaticPeers {
		if p.Subnet != c.Subnet { // one of the same subnet may be this host itself
			if err := c.checkAgainstPin(p); err != nil {
				return err
			}
		}
	}
	for i, p := range c.StaticPeers {
		if p.Path == PathVXLAN && p.Endpoint.Port() == 0 {
			c.StaticPeers[i].Endpoint = netip.AddrPortFrom(p.Endpoint.Addr(), c.VXLANPort)
		}
	}
	// Loopback endpoints are held against the underlay once it is chosen.
	return c.CheckStaticPeers(network, netip.Prefix{}, true)
}

// checkFiles refuses two files in one place.
func (c *Config) checkFiles() error {
	subnet, docker, socket := filepath.Clean(c.SubnetPath()), filepath.Clean(c.DockerPath()), filepath.Clean(c.SocketPath())
	switch {
	case docker == subnet:
		return c.fault("docker-file", c.DockerPath(), "is the file of --subnet-file as well; give them different ones")
	case subnet == socket:
		return c.fault("subnet-file", c.SubnetPath(), "is the control socket in --run-dir; give another file")
	case docker == socket:
		return c.fault("docker-file", c.DockerPath(), "is the control socket in --run-dir; give another file")
	}
	return nil
}

// checkBackend holds the settings of kernel paths against the others. A path
// that is not used disturbs nothing.
func (c *Config) checkBackend() error {
	port := strconv.Itoa(int(c.VXLANPort))
	switch {
	case c.Uses(PathVXLAN) && c.VXLANPort == c.Port:
		return c.fault("vxlan-port", port, "is the data port (--port) as well; both are UDP, give them different ones")
	case c.Uses(PathVXLAN) && c.VXLANPort == c.GossipPort:
		return c.fault("vxlan-port", port, "is the gossip port (--gossip-port) as well; both are UDP, give them different ones")
	case c.Uses(PathVXLAN) && c.Device == VXLANDevice(c.VNI), c.Uses(PathIPIP) && c.Device == IPIPDevice:
		return c.fault("device", c.Device, "is the name of a device of --backend %s; give the overlay device another one", c.Backend)
	}
	return nil
}

// knownNetwork is the network this node will be in as far as the settings tell:
// a node that joins without --network learns it, and what depends on it is
// checked then.
func (c *Config) knownNetwork() (netip.Prefix, bool) {
	switch {
	case c.Network.IsValid():
		return c.Network, true
	case c.Founds():
		return DefaultNetwork, true
	}
	return netip.Prefix{}, false
}

// SubnetLenOf is the prefix length of the subnets of a network: what was given,
// or what the network is cut into by itself. It is 0 where neither is known.
func (c *Config) SubnetLenOf(network netip.Prefix) int {
	if c.SubnetLen != 0 || !network.IsValid() {
		return c.SubnetLen
	}
	return peers.SubnetLenFor(network)
}

func (c *Config) checkNetwork(network netip.Prefix) error {
	a := network.Addr()
	switch {
	case network.Bits() > maxNetworkLen:
		return c.fault("network", network.String(), "is too small; a network holds at least four subnets, so give a /%d or larger", maxNetworkLen)
	case network.Bits() < minNetworkLen:
		return c.fault("network", network.String(), "is too large; give a /%d or smaller", minNetworkLen)
	case a.IsMulticast(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.As4()[0] == 0, a.As4()[0] >= 240:
		return c.fault("network", network.String(), "is no block for hosts; give a private one like %s", DefaultNetwork)
	case c.SubnetLen != 0 && c.SubnetLen < network.Bits()+2:
		return c.fault("subnet-len", "", "does not fit the network %s, which must hold at least four subnets; give %d to %d", network, network.Bits()+2, maxSubnetLen)
	}
	return nil
}

// checkRange holds --subnet-min and --subnet-max against the network.
func (c *Config) checkRange(network netip.Prefix) error {
	bits := c.SubnetLenOf(network)
	for _, end := range []struct {
		name string
		addr netip.Addr
	}{{"subnet-min", c.SubnetMin}, {"subnet-max", c.SubnetMax}} {
		if !end.addr.IsValid() {
			continue
		}
		aligned := netip.PrefixFrom(end.addr, bits).Masked().Addr()
		switch {
		case !network.Contains(end.addr):
			return c.fault(end.name, "", "is not in the network %s", network)
		case aligned != end.addr:
			return c.fault(end.name, "", "is not the first address of a /%d; did you mean %s?", bits, aligned)
		case end.addr == network.Addr():
			return c.fault(end.name, "", "is the first subnet, which is not handed out; the lowest is %s", nextSubnet(network.Addr(), bits))
		}
	}
	return nil
}

// checkPin holds --subnet against network and range; network may be unknown.
func (c *Config) checkPin(network netip.Prefix) error {
	if !c.Subnet.IsValid() {
		return nil
	}
	pin, bits := c.Subnet, c.SubnetLenOf(network)
	switch {
	case pin.Bits() > maxSubnetLen:
		return c.fault("subnet", "", "is too small; give a /%d or larger", maxSubnetLen)
	case network.IsValid() && !network.Contains(pin.Addr()):
		return c.fault("subnet", "", "is not in the network %s", network)
	case bits != 0 && pin.Bits() != bits:
		return c.fault("subnet", "", "is a /%d and the network's subnets are /%d; give one of that length, or --subnet-len %d", pin.Bits(), bits, pin.Bits())
	case c.SubnetMin.IsValid() && pin.Addr().Less(c.SubnetMin):
		return c.fault("subnet", "", "lies below --subnet-min %s", c.SubnetMin)
	case c.SubnetMax.IsValid() && c.SubnetMax.Less(pin.Addr()):
		return c.fault("subnet", "", "lies above --subnet-max %s", c.SubnetMax)
	}
	return nil
}

// nextSubnet is the address of the subnet of the given length after a.
func nextSubnet(a netip.Addr, bits int) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+1<<(32-bits))
	return netip.AddrFrom4(b)
}
