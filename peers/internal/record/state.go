// SPDX-License-Identifier: Apache-2.0

package record

import "fmt"

// State is what push/pull exchanges and the disk keeps: network and records.
type State struct {
	Network Network `cbor:"1,keyasint"`
	// Former are records of the format before this one. They are kept on
	// disk; where they come from another node they are not looked at.
	Former [][]byte `cbor:"2,keyasint,omitempty"`
	// Amnesiac says that the node does not vote for now. It is in the state
	// so that another start in the meantime knows it, too.
	Amnesiac bool     `cbor:"3,keyasint,omitempty"`
	Records  [][]byte `cbor:"4,keyasint,omitempty"`
	// Parts, in place of records, is the digest of the table: nodes that
	// are members already exchange what differs.
	Parts []byte `cbor:"5,keyasint,omitempty"`
}

// DecodeState decodes a State. Its network is valid; the records are not looked
// at. An error wraps ErrMalformed.
func DecodeState(encoded []byte) (State, error) {
	var s State
	if err := Decode(encoded, &s); err != nil {
		return State{}, fmt.Errorf("%w: state: %w", ErrMalformed, err)
	}
	if err := s.Network.Validate(); err != nil {
		return State{}, fmt.Errorf("%w: state: %w", ErrMalformed, err)
	}
	return s, nil
}
