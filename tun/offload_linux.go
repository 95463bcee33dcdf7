// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Masks of TUNSETOFFLOAD (linux/if_tun.h). The kernel takes USO4 and USO6 only
// together. Otherwise nothing is requested for IPv6, which is not carried.
const (
	maskChecksum = unix.TUN_F_CSUM
	maskTCP      = unix.TUN_F_TSO4 | unix.TUN_F_TSO_ECN
	maskUDP      = unix.TUN_F_USO4 | unix.TUN_F_USO6
)

func (o Offloads) mask() int {
	mask := 0
	if o.Checksum {
		mask |= maskChecksum
	}
	if o.TCP {
		mask |= maskTCP
	}
	if o.UDP {
		mask |= maskUDP
	}
	return mask
}

// setOffloads requests offloads on every queue, the same on all, because the
// device has what its queues requested last. Offloads that the kernel refuses
// are left out, the newest first, and the notes say so. Offloads of an earlier
// process are turned off in any case.
func setOffloads(fds []int, want Offloads) (Offloads, offloadNotes, error) {
	have, notes := want, offloadNotes{}
	for _, drop := range []func(error){
		func(err error) { have.UDP, notes.udp = false, refusedNote(err) },
		func(err error) { have.TCP, notes.tcp = false, refusedNote(err) },
		func(err error) { have.Checksum, notes.checksum = false, refusedNote(err) },
	} {
		err := setMask(fds, have.mask())
		if err == nil {
			return have, notes, nil
		}
		drop(err)
	}
	if err := setMask(fds, 0); err != nil {
		return have, notes, fmt.Errorf("switch offloads off: %w", err)
	}
	return have, notes, nil
}

func refusedNote(err error) string { return fmt.Sprintf("the kernel refuses it: %v", err) }

func setMask(fds []int, mask int) error {
	for _, fd := range fds {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, mask); err != nil {
			return err
		}
	}
	return nil
}

// offloadNotes say why an offload that was wanted is not used.
type offloadNotes struct{ checksum, tcp, udp string }

// Offloads lists all offloads of the device as they are now.
func (d *Device) Offloads() []OffloadState {
	now := d.queues[0].Offloads()
	for _, q := range d.queues[1:] {
		o := q.Offloads()
		now.TCP, now.UDP = now.TCP && o.TCP, now.UDP && o.UDP
	}
	notes := d.notes
	if !d.wanted.Checksum {
		notes.tcp, notes.udp = "needs tun-csum", "needs tun-csum"
	}
	return []OffloadState{
		offloadState("tun-csum", d.wanted.Checksum, now.Checksum, notes.checksum),
		offloadState("tun-tso", d.wanted.TCP, now.TCP, notes.tcp),
		offloadState("tun-uso", d.wanted.UDP, now.UDP, notes.udp),
	}
}
