// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// A report is CBOR (RFC 8949) in a map with small integer keys: a later version
// adds keys, and an earlier one passes over them.
var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 6, MaxArrayElements: 64, MaxMapPairs: 64,
	}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err)
	}
	return mode
}

// Encode encodes a report. Where it is too long, the last peers are counted
// only.
func (r Report) Encode() []byte {
	for {
		b, err := encoder.Marshal(r)
		if err != nil {
			panic(fmt.Sprintf("report: encode: %v", err)) // of a fixed type
		}
		if len(b) <= MaxLen || len(r.Peers) == 0 {
			return b
		}
		drop := min(len(r.Peers), 10)
		r.Peers, r.Others = r.Peers[:len(r.Peers)-drop], r.Others+drop
	}
}

// Decode reads what another node sent. It refuses what is longer than Of makes
// it, and what is no text for people.
func Decode(b []byte) (Report, error) {
	var r Report
	if len(b) > MaxLen {
		return r, errors.New("report: too long")
	}
	if err := decoder.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	if err := r.check(); err != nil {
		return Report{}, err
	}
	return r, nil
}

func (r *Report) check() error {
	if len(r.Peers) > MaxPeers || len(r.Problems) > maxProblems || len(r.Drops) > maxDrops || len(r.Offloads) > maxOffloads ||
		len(r.Backends) > maxBackends || r.Others < 0 {
		return errors.New("report: a list is too long")
	}
	ok := readable(maxName, r.Version, r.Lease) && readable(maxText, r.Shortcut.Why)
	for _, p := range r.Problems {
		ok = ok && readable(maxName, p.Part) && readable(maxText, p.Text, p.Advice)
	}
	for _, o := range r.Offloads {
		ok = ok && readable(maxName, o.Name) && readable(maxText, o.Note)
	}
	for _, b := range r.Backends {
		ok = ok && readable(maxName, b.Path) && readable(maxText, b.Unavailable)
	}
	for _, d := range r.Drops {
		ok = ok && readable(maxName, d.Kind)
	}
	for _, p := range r.Peers {
		ok = ok && len(p.ID) == idBytes
	}
	if !ok {
		return errors.New("report: a text or an ID is malformed")
	}
	return nil
}

// readable reports whether texts are short enough and printable.
func readable(most int, texts ...string) bool {
	for _, text := range texts {
		if len(text) > most || !utf8.ValidString(text) {
			return false
		}
		for _, c := range text {
			if !unicode.IsPrint(c) {
				return false
			}
		}
	}
	return true
}
