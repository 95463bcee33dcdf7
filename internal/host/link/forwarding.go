// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/host/bridge"
	"flanneld/internal/problem"
)

// RPLoose is the value of rp_filter that drops a packet only if there is no
// route to its source.
const RPLoose = 2

// Forwarding keeps packets going between the overlay device and the containers'
// bridges, as a part of the host. The kernel decides by the switch of the
// device that a packet comes in by. net.ipv4.ip_forward only sets all switches.
type Forwarding struct {
	device string

	mu     sync.Mutex
	lease  netip.Prefix // zero: nothing to forward yet
	wasOff bool
}

// NewForwarding makes the part for the overlay device of that name.
func NewForwarding(device string) *Forwarding { return &Forwarding{device: device} }

// Want sets the lease of this node; zero for none. When Want returns, no Ensure
// for an older lease is running.
func (f *Forwarding) Want(lease netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lease = lease
}

// WasOff reports whether an Ensure has turned net.ipv4.ip_forward on.
func (f *Forwarding) WasOff() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wasOff
}

// Name is "forwarding".
func (*Forwarding) Name() string { return problem.PartForwarding }

// Ensure turns forwarding on, for the host and for the device. A bridge that
// does not forward is an error, and is left alone: that may be meant.
func (f *Forwarding) Ensure(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lease.IsValid() {
		return nil, nil
	}
	var changes []string
	changed, err := EnableForwarding()
	if changed {
		f.wasOff = true
		changes = append(changes, "net.ipv4.ip_forward was off")
	}
	err = host.Advise(err, "sysctl -w net.ipv4.ip_forward=1 (for a container: docker run --sysctl net.ipv4.ip_forward=1)")
	corrected, deviceErr := EnsureForwarding(f.device)
	if errors.Is(deviceErr, ErrNoDevice) {
		deviceErr = nil // it is made again
	}
	deviceErr = host.Advise(deviceErr, fmt.Sprintf("sysctl -w %s=1", Sysctl(f.device, "forwarding")))
	return append(changes, corrected...), host.Join(err, deviceErr, host.Join(bridgesOff(f.lease)...))
}

// bridgesOff names the bridges with addresses of the lease that do not forward
// what comes in by them.
func bridgesOff(lease netip.Prefix) (off []error) {
	all, err := bridge.List()
	if err != nil {
		return nil
	}
	for _, b := range all {
		if on, err := Forwards(b.Name); b.In(lease) && err == nil && !on {
			off = append(off, host.Advise(
				fmt.Errorf("%s is 0: packets of the containers on %s are not forwarded", Sysctl(b.Name, "forwarding"), b.Name),
				fmt.Sprintf("sysctl -w %s=1", Sysctl(b.Name, "forwarding"))))
		}
	}
	return off
}

// Sysctl names a device's IPv4 setting as sysctl(8) takes it: a dot in the
// device's name is a slash there.
func Sysctl(device, key string) string {
	return "net.ipv4.conf." + strings.ReplaceAll(device, ".", "/") + "." + key
}

// Check returns which switches are off.
func (f *Forwarding) Check(context.Context) (wrong []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.lease.IsValid() {
		return nil, nil
	}
	on, err := ForwardingEnabled()
	if err != nil {
		return nil, err
	}
	if !on {
		wrong = append(wrong, "net.ipv4.ip_forward is 0")
	}
	off, err := CheckForwarding(f.device)
	for _, e := range bridgesOff(f.lease) {
		off = append(off, e.Error())
	}
	return append(wrong, off...), err
}

// Remove does nothing. The device takes its settings along, and other programs
// may rely on net.ipv4.ip_forward by now.
func (*Forwarding) Remove(context.Context) error { return nil }
