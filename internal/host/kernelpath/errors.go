// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"errors"
	"fmt"
	"net/netip"

	"flanneld/internal/host"
)

// What a step of the kernel can fail with, apart from errors that are passed on
// as they are.
var (
	errNoModule    = errors.New("the kernel has no such devices")
	errPortTaken   = errors.New("the UDP port is in use")
	errVNITaken    = errors.New("another device has this VNI and port")
	errTunnelTaken = errors.New("another device takes all packets of protocol 4 to this address")
	errTaken       = errors.New("another route is in the place")
	errNotYet      = errors.New("the underlay device is down, or the overlay's address is missing")
)

// explain gives a failed step its subject, and advice where there is some.
func explain(s step, err error) error {
	d := s.dev
	switch {
	case errors.Is(err, errNotYet):
		return fmt.Errorf("kernelpath: %s: %w: %w", s.text, host.ErrPending, err)
	case errors.Is(err, errNoModule):
		return fmt.Errorf("%w: kernel module %s is missing (modprobe %[2]s)", err, d.kind)
	case errors.Is(err, errPortTaken):
		return host.Advise(fmt.Errorf("UDP port %d of %s is in use by another program", d.port, d.name),
			"stop that program, or choose another port on all nodes with --vxlan-port")
	case errors.Is(err, errVNITaken):
		return host.Advise(fmt.Errorf("another device has VNI %d and port %d of %s", d.vni, d.port, d.name),
			"see ip -d link show type vxlan; remove that device, or choose with --vxlan-vni or --vxlan-port")
	case errors.Is(err, errTunnelTaken):
		return host.Advise(fmt.Errorf("another device takes all packets of protocol 4 to %s, as %s would", d.local, d.name),
			"see ip -d link show type ipip; remove that device")
	case errors.Is(err, errTaken):
		return takenError(s.route.dst, "")
	}
	return fmt.Errorf("%s, and that cannot be changed: %w", s.text, err)
}

// foreignError is about another program's device in the place of a wanted one.
func foreignError(d device) error {
	if overlay := overlayOf(d.alias); overlay != "" {
		return otherError(d, overlay)
	}
	return host.Advise(fmt.Errorf("device %s is %s", d.name, d.describe()), fmt.Sprintf("ip link delete %s", d.name))
}

// otherError is about the device of another flanneld on this host, which may be
// in use. Both take the name from the VNI, so another port is not enough.
func otherError(d device, overlay string) error {
	advice := fmt.Sprintf("choose another --vxlan-vni on all nodes of one of the two networks; another --vxlan-port alone leaves the name %s", d.name)
	if d.kind == kindIPIP {
		advice = "use --backend without ipip for one of the two: a host has one such device"
	}
	return host.Advise(fmt.Errorf("device %s belongs to the flanneld of %s on this host", d.name, overlay), advice)
}

func takenError(dst netip.Prefix, by string) error {
	text, advice := "", "see ip route show "+dst.String()
	if by != "" {
		text, advice = ": "+by, "ip route del "+by
	}
	return host.Advise(fmt.Errorf("another program has a route to %s%s", dst, text), advice)
}

// maxErrors is how many failures of one kind are told one by one.
const maxErrors = 3

// few joins errors, and counts those that are too many to be told.
func few(all []error) error {
	if n := len(all) - maxErrors; n > 1 {
		all = append(all[:maxErrors:maxErrors], fmt.Errorf("and %d more failures of this kind", n))
	}
	return host.Join(all...)
}

// settle leaves out what is only pending where there are other errors: they are
// problems now.
func settle(err error) error {
	var rest []error
	for _, one := range host.Errors(err) {
		if !errors.Is(one, host.ErrPending) {
			rest = append(rest, one)
		}
	}
	if len(rest) == 0 {
		return err
	}
	return host.Join(rest...)
}
