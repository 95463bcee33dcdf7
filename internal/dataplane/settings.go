// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"syscall"

	"flanneld/encap"
	"flanneld/internal/config"
	"flanneld/tun"
)

// Settings are what all planes of a daemon have in common.
type Settings struct {
	Lanes    int      // without the express lane
	Offload  []string // which may be used; see config.Offloads
	Realtime bool     // lanes may be real-time threads
	Port     uint16   // the data port
	Sealed   bool     // a plane needs a Sealer
	Log      *slog.Logger
}

// SettingsOf takes the settings from a configuration.
func SettingsOf(c config.Config, log *slog.Logger) Settings {
	return Settings{Lanes: c.Lanes, Offload: c.Offload, Realtime: c.Realtime != config.RealtimeOff, Port: c.Port, Sealed: c.Sealed, Log: log}
}

// AllLanes is the number of lanes with the express lane: so many queues the
// device has, and so many sockets and threads there are.
func (s Settings) AllLanes() int { return s.sockets().AllLanes() }

// sockets is how the data sockets are opened, and so which lanes there are.
func (s Settings) sockets() encap.Config {
	return encap.Config{Lanes: s.Lanes, Express: true, Offloads: encap.Offloads{
		Send:    slices.Contains(s.Offload, config.UDPSend),
		Receive: slices.Contains(s.Offload, config.UDPReceive),
	}}
}

// device is how the overlay device is opened.
func (s Settings) device(name, alias string) tun.Config {
	return tun.Config{Name: name, Alias: alias, Queues: s.AllLanes(), Offloads: tun.Offloads{
		Checksum: slices.Contains(s.Offload, config.TUNChecksum),
		TCP:      slices.Contains(s.Offload, config.TUNTCP),
		UDP:      slices.Contains(s.Offload, config.TUNUDP),
	}}
}

// Sockets are the data sockets, one for each lane.
type Sockets []*encap.Conn

// Listen binds the data sockets to an underlay address. The error of a taken
// port says what to do.
func (s Settings) Listen(addr netip.Addr) (Sockets, error) {
	sockets, err := encap.Listen(netip.AddrPortFrom(addr, s.Port), s.sockets())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, taken{fmt.Errorf("UDP port %d of %s is taken: stop the program that has it (ss -lunp), or choose another with --port", s.Port, addr)}
	}
	return sockets, err
}

// Close closes sockets that no plane has taken over.
func (s Sockets) Close() {
	for _, socket := range s {
		_ = socket.Close() // nothing was sent
	}
}

// taken is the error where a port is in use; it wraps EADDRINUSE.
type taken struct{ error }

func (taken) Unwrap() error { return syscall.EADDRINUSE }
