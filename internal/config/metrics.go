// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"net/netip"
	"strconv"
)

// setMetrics sets the address of metrics and health. The host may have the
// address only later.
func setMetrics(c *Config, text string) error {
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return errors.New("not ADDR:PORT; write it like 127.0.0.1:8287, or 0.0.0.0:8287 for all addresses of this host")
	case a.Port() == 0:
		return errors.New("its port is not a number from 1 to 65535")
	case a.Addr().IsMulticast(), a.Addr().Zone() != "":
		return errors.New("not an address to listen on; write it like 127.0.0.1:8287, or 0.0.0.0:8287 for all addresses of this host")
	}
	c.Metrics = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return nil
}

// MetricsExposed reports whether other hosts can reach the metrics.
func (c Config) MetricsExposed() bool {
	return c.Metrics.IsValid() && !c.Metrics.Addr().IsLoopback()
}

// checkMetrics refuses the port of gossip, which is TCP as well.
func (c *Config) checkMetrics() error {
	if c.Metrics.IsValid() && c.Metrics.Port() == c.GossipPort {
		return c.fault("metrics", c.Metrics.String(), "has the gossip port (--gossip-port) %s; both are TCP, give another port", strconv.Itoa(int(c.GossipPort)))
	}
	return nil
}
