// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// Device is the overlay device as a part of the host.
type Device struct {
	name string

	mu   sync.Mutex // held while the device is worked on: milliseconds
	want *Config    // nil: not known yet
}

// NewDevice makes the part for the device of that name.
func NewDevice(name string) *Device { return &Device{name: name} }

// Want sets how the device should be, nil for not known. When Want returns, no
// Ensure for an older configuration is running.
func (d *Device) Want(c *Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = c
}

// Name is "device".
func (*Device) Name() string { return problem.PartDevice }

// Ensure corrects the device. A missing device is host.ErrPending: the
// forwarder notices that and makes it again.
func (d *Device) Ensure(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.want == nil {
		return nil, nil
	}
	changes, err := Ensure(*d.want)
	switch {
	case errors.Is(err, ErrNoDevice):
		err = fmt.Errorf("%w: %w", host.ErrPending, err)
	case err != nil:
		err = fmt.Errorf("device %s cannot be repaired: %w", d.name, err)
	}
	return changes, err
}

// Check returns what Ensure would change. A missing device is ErrNoDevice.
func (d *Device) Check(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.want == nil {
		return nil, nil
	}
	return Check(*d.want)
}

// Present names the device where it exists and is flanneld's.
func (d *Device) Present() []string {
	if owner, err := Owned(d.name); err != nil || owner != Ours {
		return nil
	}
	return []string{"device " + d.name + ", its addresses and routes"}
}

// Remove deletes the device, unless it is another program's.
func (d *Device) Remove(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Remove(d.name)
}
