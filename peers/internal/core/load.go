// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"

	"flanneld/peers/internal/record"
)

// enterKnownNetwork takes up the network of the durable state, if it has one,
// with its table and lease.
func (c *Core) enterKnownNetwork(encodedTable []byte) (err error) {
	n := c.durable.Network
	if !n.Prefix.IsValid() {
		if encodedTable != nil {
			c.former, err = record.DecodeState(encodedTable)
		}
		return err
	}
	if err := n.Agrees(c.cfg.Want); err != nil {
		return fmt.Errorf("%w: %w", ErrNetworkParameters, err)
	}
	if err := c.checkPin(n); err != nil {
		return err
	}
	c.table = c.newTable(n)
	if encodedTable != nil {
		if err := c.loadTable(encodedTable); err != nil {
			return err
		}
	}
	if encodedTable == nil {
		c.cfg.Amnesia = true // it does not know the other nodes
	}
	if c.durable.Pending {
		c.durable.Lease, c.durable.Pending = nil, false
		if l := c.table.Leases[c.durable.Slot]; l != nil && l.Rec.Holder == c.id {
			c.table.DropLease(c.durable.Slot)
		}
	}
	if len(c.durable.Lease) > 0 {
		if _, err := c.table.Take(c.durable.Lease, nil); err != nil {
			return fmt.Errorf("core: durable state: lease: %w", err)
		}
	}
	c.ledger.loadLeases(c.durable.Leases, c.id)
	return nil
}

func (c *Core) newTable(n record.Network) *record.Table {
	return record.NewTable(n, c.cfg.Endpoint.Addr().IsLoopback(), c.cfg.Signer)
}

// ErrOtherTable means that the encoded table is of another network than the
// durable state.
var ErrOtherTable = errors.New("core: node table of another network")

// loadTable loads the table of the last start. It leaves out a record that is
// not valid: the network has it.
func (c *Core) loadTable(encoded []byte) error {
	s, err := record.DecodeState(encoded)
	if err != nil {
		return err
	}
	if s.Network.ID() != c.table.NetID {
		return ErrOtherTable
	}
	c.loadRecords(s)
	if n := c.table.Nodes[c.id]; n != nil {
		c.durable.Start = max(c.durable.Start, record.Next(n.Rec.Start))
	}
	return nil
}

// loadRecords fills the table with what this node once knew.
func (c *Core) loadRecords(s record.State) {
	c.cfg.Amnesia = c.cfg.Amnesia || s.Amnesiac
	fill(c.table, s)
}

// fill takes the records of a state into a table. Invalid ones are left out.
func fill(t *record.Table, s record.State) {
	for _, raw := range s.Former {
		t.TakeFormer(raw)
	}
	for _, raw := range s.Records {
		_, _ = t.Take(raw, nil)
	}
}

// prepareNetwork makes the network that Start founds, unless the driver finds
// that it does not fit the host.
func (c *Core) prepareNetwork() error {
	n, err := c.cfg.Want.WithDefaults()
	if err != nil {
		return err
	}
	n.Founder = c.id
	for i := range n.Nonce {
		n.Nonce[i] = byte(c.cfg.Rand.Uint32())
	}
	c.prepared = n
	return c.checkPin(n)
}

// checkPin refuses a pin that is no subnet of the network.
func (c *Core) checkPin(n record.Network) error {
	pin := c.cfg.Pin
	if !pin.IsValid() {
		return nil
	}
	if _, ok := n.SlotOf(pin); !ok {
		return fmt.Errorf("--subnet %s is no /%d subnet of network %s", pin, n.SubnetLen, n.Prefix)
	}
	return nil
}
