// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"net/netip"
)

// Config describes how Listen sets up its sockets. The zero value is valid.
type Config struct {
	// Lanes is the number of sockets on the one address; zero means 1.
	Lanes int

	// Batch is how many messages one system call carries; zero means
	// DefaultBatch. Longer slices are sent in several calls.
	Batch int

	// BufferSize is how many bytes the kernel may hold for each socket in each
	// direction; zero means DefaultBufferSize. The system's default holds three
	// superpackets. More than net.core.rmem_max and wmem_max needs
	// CAP_NET_ADMIN; without it the sockets get the permitted size.
	BufferSize int

	// Sources is how many ports each lane sends from: 1 for the port that it
	// listens on, or a power of two up to 16 for as many others. Network cards,
	// routers with several equally good paths, and receivers with several lanes
	// distribute by source port. One port would look to them like one flow
	// between two nodes. In return, datagrams from different ports cannot form
	// a train together. Zero means DefaultSources.
	Sources int

	// Express adds a lane for datagrams that senders mark as express: see
	// Message.Express, and Conn.Express for which lane it is.
	Express bool

	// Offloads that may be used, if the kernel has them. Conn.Offloads reports
	// which are in use.
	Offloads Offloads
}

// Defaults of Config.
const (
	DefaultBatch      = 64
	DefaultSources    = 4
	DefaultBufferSize = 8 << 20
)

const (
	maxLanes   = 256  // as many as a TUN device has queues
	maxBatch   = 1024 // UIO_MAXIOV, which bounds sendmmsg as well
	maxSources = 16
)

// AllLanes is the number of lanes, and of sockets, with the express lane.
// Listen returns one Conn for each.
func (c Config) AllLanes() int {
	n := max(c.Lanes, 1)
	if c.Express {
		n++
	}
	return n
}

// checked returns the configuration with defaults filled in, or an error about
// the configuration or the address.
func (c Config) checked(addr netip.AddrPort) (Config, error) {
	if c.Lanes == 0 {
		c.Lanes = 1
	}
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.BufferSize == 0 {
		c.BufferSize = DefaultBufferSize
	}
	if c.Sources == 0 {
		c.Sources = DefaultSources
	}
	switch {
	case !addr.Addr().Is4():
		return c, fmt.Errorf("encap: listen on %s: the underlay address must be IPv4", addr)
	case c.Lanes < 0 || c.Lanes > maxLanes:
		return c, fmt.Errorf("encap: %d lanes: must be 1 to %d", c.Lanes, maxLanes)
	case c.Batch < 0 || c.Batch > maxBatch:
		return c, fmt.Errorf("encap: batch of %d: must be 1 to %d", c.Batch, maxBatch)
	case c.Sources < 0 || c.Sources > maxSources || c.Sources&(c.Sources-1) != 0:
		return c, fmt.Errorf("encap: %d sources: must be a power of two, at most %d", c.Sources, maxSources)
	case c.BufferSize < 0 || c.BufferSize > 1<<30:
		return c, fmt.Errorf("encap: socket buffers of %d bytes: must be 1 to %d", c.BufferSize, 1<<30)
	}
	return c, nil
}
