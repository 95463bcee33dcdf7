// SPDX-License-Identifier: Apache-2.0

package record

import "fmt"

// Capability is something a node understands beyond plain datagrams: a number,
// and parameters in the format that belongs to the number. A reader leaves
// numbers that it does not know alone.
type Capability struct {
	_      struct{} `cbor:",toarray"`
	Number uint16
	Param  []byte // at most 32 bytes
}

const (
	maxCaps     = 16 // in a node record
	maxCapParam = 32 // bytes
)

// CheckCaps refuses a list that does not fit into a node record.
func CheckCaps(caps []Capability) error {
	if len(caps) > maxCaps {
		return fmt.Errorf("%d capabilities, at most %d", len(caps), maxCaps)
	}
	for _, c := range caps {
		if len(c.Param) > maxCapParam {
			return fmt.Errorf("capability %d with %d bytes of parameters, at most %d", c.Number, len(c.Param), maxCapParam)
		}
	}
	return nil
}
