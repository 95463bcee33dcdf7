// SPDX-License-Identifier: Apache-2.0

package ports

import "flanneld/internal/host/nft"

// Table keeps one device's table. Its methods may be called from several
// goroutines; they take turns.
type Table struct {
	device string
	uid    uint32
	kept   *nft.Table
}

// New returns a Table for a device; uid is the user that may send beside root.
// Nothing is changed before Ensure.
func New(device string, uid uint32) (*Table, error) {
	if err := (Config{Device: device}).Validate(); err != nil {
		return nil, err
	}
	return &Table{device: device, uid: uid, kept: nft.New(TableName(device))}, nil
}

// Created reports whether Ensure made a table where none was.
func (t *Table) Created() bool { return t.kept.Created() }

// Ensure makes the table as configured, in one transaction. It
// returns one sentence for each thing that was not as Ensure had left it;
// nothing for changes of the configuration. Where the kernel's rules did not
// change since the last call it costs one netlink message. The error is
// nft.ErrUnsupported where the kernel lacks what is needed.
func (t *Table) Ensure(c Config) (changed []string, err error) {
	c.Device, c.UID = t.device, t.uid
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return t.kept.Ensure(c.content)
}

// Check returns what Ensure would find changed; it changes nothing on the host.
// A Table that wrote nothing yet only checks that there is a table. Where the
// kernel's rules did not change since all was right, it costs one netlink
// message.
func (t *Table) Check() (wrong []string, err error) { return t.kept.Check() }

// Remove deletes the device's table. Without one, and where the kernel has no
// nf_tables, it does nothing.
func Remove(device string) error {
	t, err := New(device, 0)
	if err != nil {
		return err
	}
	_, err = t.kept.Remove()
	return err
}
