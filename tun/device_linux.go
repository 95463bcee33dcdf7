// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// queueFlags are the flags with which every queue attaches; with offloads,
// IFF_VNET_HDR as well. The kernel accepts new flags only if no other queue of
// the device is open. So Open closes the descriptor that created it.
const queueFlags = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE

// Device is an open TUN device. The methods may be called from any goroutine.
type Device struct {
	name    string
	index   int
	created bool
	queues  []*Queue
	wanted  Offloads
	notes   offloadNotes
}

// Open creates the device, or takes over a persistent one that an earlier
// process left, and attaches cfg.Queues queues to it. A created device is
// persistent: it keeps its addresses and routes when the process ends, however
// it ends. Open neither configures addresses nor brings the device up.
//
// The errors wrap ErrBusy, ErrForeign, ErrNoDevice or ErrPermission where they
// apply. On failure nothing stays open, and a device that Open created is
// removed.
func Open(cfg Config) (*Device, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	// Descriptors first: a lack of descriptors must not leave a device behind.
	fds, err := openClones(cfg.Queues)
	if err != nil {
		return nil, fmt.Errorf("tun: open %s: %w", clonePath, explainOpen(err))
	}
	d, err := open(cfg, fds)
	if err != nil {
		closeAll(fds)
		return nil, fmt.Errorf("tun: open device %s: %w", cfg.Name, explainRefusal(err))
	}
	return d, nil
}

// open makes a device from the not yet attached descriptors fds. On failure it
// leaves them open.
func open(cfg Config, fds []int) (_ *Device, err error) {
	created, err := ensure(cfg.Name, cfg.Alias)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && created {
			// Fails on a descriptor that was never attached; if the first
			// could not be attached, nothing is left to undo it with.
			_ = unix.IoctlSetInt(fds[0], unix.TUNSETPERSIST, 0)
		}
	}()
	offloads, notes, err := attachAll(fds, cfg.Name, cfg.Offloads.consistent())
	if err != nil {
		return nil, err
	}
	l, err := findLink(cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("look at the device: %w", err)
	}
	if l.queues > len(fds) { // another process attached in the meantime
		return nil, ErrBusy
	}
	if err := setLink(l.index, ""); err != nil {
		return nil, fmt.Errorf("configure the device: %w", err)
	}
	queues, err := newQueues(fds, probeWrites(offloads))
	if err != nil {
		return nil, err
	}
	return &Device{name: cfg.Name, index: l.index, created: created, queues: queues, wanted: cfg.Offloads, notes: notes}, nil
}

// ensure makes sure that there is a device of this name that we may attach to,
// and reports whether it had to create it.
func ensure(name, alias string) (created bool, err error) {
	l, err := findLink(name)
	switch {
	case errors.Is(err, unix.ENODEV):
		return true, create(name, alias)
	case err != nil:
		return false, fmt.Errorf("look for the device: %w", err)
	case !l.isMultiQueueTUN():
		return false, fmt.Errorf("%w, but %s: choose another device name or delete it", ErrForeign, l)
	case l.queues > 0:
		return false, fmt.Errorf("%w (%d queues are open): stop it, or choose another device name", ErrBusy, l.queues)
	}
	return false, nil
}

// create creates the persistent device and closes the descriptor for that. The
// device becomes persistent only after it has its alias. If the process is
// killed in between, the device disappears with it.
//
// The library opens without close-on-exec and loses the descriptor when it
// fails. So no process may be started meanwhile. The one foreseeable failure, a
// missing capability, is checked first.
func create(name, alias string) error {
	if !hasNetAdmin() {
		return unix.EPERM
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dev, err := water.New(water.Config{
		DeviceType: water.TUN,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name:       name,
			MultiQueue: true,
		},
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return errors.Join(keep(dev, name, alias), dev.Close())
}

// keep names a device that was just made, and makes it persistent.
func keep(dev *water.Interface, name, alias string) error {
	l, err := findLink(name)
	if err != nil {
		return fmt.Errorf("look at the new device: %w", err)
	}
	if err := setLink(l.index, alias); err != nil {
		return fmt.Errorf("name the new device: %w", err)
	}
	conn, err := dev.ReadWriteCloser.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var persistErr error
	err = conn.Control(func(fd uintptr) { persistErr = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 1) })
	if err = errors.Join(err, persistErr); err != nil {
		return fmt.Errorf("make the new device persistent: %w", err)
	}
	return nil
}

// hasNetAdmin reports whether this thread has CAP_NET_ADMIN.
func hasNetAdmin() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3: two words of 32 capabilities
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// openClones opens the clone device n times, non-blocking and close-on-exec.
func openClones(n int) ([]int, error) {
	fds := make([]int, 0, n)
	for range n {
		fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// attachAll makes each descriptor one queue of the device, in order, so that
// the index of a queue here is its index in the kernel. It returns the offloads
// of the queues, which are equal, and why the others are missing.
func attachAll(fds []int, name string, want Offloads) (Offloads, offloadNotes, error) {
	flags := uint16(queueFlags)
	if want.any() {
		flags |= unix.IFF_VNET_HDR
	}
	for i, fd := range fds {
		req, err := unix.NewIfreq(name)
		if err != nil {
			return Offloads{}, offloadNotes{}, err
		}
		req.SetUint16(flags)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			return Offloads{}, offloadNotes{}, fmt.Errorf("attach queue %d: %w", i, err)
		}
	}
	return setOffloads(fds, want)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// explainOpen explains why the clone device cannot be opened.
func explainOpen(err error) error {
	switch err {
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		return fmt.Errorf("%w (%w): load the kernel module tun, or hand the container /dev/net/tun", ErrNoDevice, err)
	}
	return explainRefusal(err)
}

// explainRefusal adds the remedy for a missing right.
func explainRefusal(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (%w): run as root or with CAP_NET_ADMIN", ErrPermission, err)
	}
	return err
}

// Name is the name the device was opened with.
func (d *Device) Name() string { return d.name }

// Index is the kernel's interface index.
func (d *Device) Index() int { return d.index }

// Created reports whether Open created the device, as opposed to taking it
// over.
func (d *Device) Created() bool { return d.created }

// Queues are the queues in the order of their kernel index. Answers to packets
// from one queue are written to the same queue, so that a flow keeps its lane.
func (d *Device) Queues() []*Queue { return d.queues }

// Close closes all queues; Reads that wait return. The device itself stays,
// with its addresses and routes, for the next process to take over.
func (d *Device) Close() error {
	var errs []error
	for _, q := range d.queues {
		if err := q.Close(); err != nil && !closed(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// closed reports whether err only means that another caller was faster.
func closed(err error) bool { return errors.Is(err, fs.ErrClosed) }
