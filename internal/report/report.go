// SPDX-License-Identifier: Apache-2.0

// Package report is what a node tells the other nodes of itself, so that each
// can show the whole network.
//
// A [Report] is short, whatever the node knows: it has to fit a few datagrams.
// There is nothing secret in it. What another node says is bounded and checked
// when it is read ([Decode]), and is not believed: it is shown as that node's
// word.
package report

import (
	"encoding/base32"
	"slices"
	"strings"
	"unicode"

	"flanneld/internal/control"
)

// Bounds of a report. The largest takes some 14 kB.
const (
	MaxPeers    = 60 // with a line of their own; more are counted
	maxProblems = 8
	maxText     = 300 // bytes of one text
	maxName     = 64
	maxDrops    = 40
	maxOffloads = 16
	maxBackends = 6
	// MaxLen is how long an encoded report can be, bytes: what gossip carries.
	MaxLen = 16 << 10
)

// Report is one node at one moment. Counters count from the start of its
// daemon.
type Report struct {
	Version  string    `cbor:"1,keyasint" json:"version"`
	Uptime   uint32    `cbor:"2,keyasint" json:"uptime_seconds"`
	OK       bool      `cbor:"3,keyasint" json:"ok"`
	Problems []Problem `cbor:"4,keyasint" json:"problems"` // the gravest first
	Lease    string    `cbor:"5,keyasint" json:"lease"`    // its state, as in control.Lease
	MTU      uint16    `cbor:"6,keyasint" json:"mtu"`
	Offloads []Offload `cbor:"7,keyasint" json:"offloads"`
	Backends []Backend `cbor:"8,keyasint" json:"backends"`
	Paths    Paths     `cbor:"9,keyasint" json:"paths"`
	// Out and In are overlay packets that left and that came, by any path that
	// is counted.
	Out   Traffic `cbor:"10,keyasint" json:"out"`
	In    Traffic `cbor:"11,keyasint" json:"in"`
	Drops []Drop  `cbor:"12,keyasint" json:"drops"`
	// Peers are the other nodes as this one sees them: those first that it
	// does not reach.
	Peers  []Peer `cbor:"13,keyasint" json:"-"`
	Others int    `cbor:"14,keyasint" json:"others"` // peers beyond MaxPeers
	Sealed bool   `cbor:"15,keyasint" json:"sealed"`
	// Shortcut is zero from a node of an earlier version.
	Shortcut Shortcut `cbor:"16,keyasint" json:"shortcut"`
}

// Problem is one of control's.
type Problem struct {
	_      struct{} `cbor:",toarray"`
	Part   string   `json:"part"`
	Text   string   `json:"text"`
	Advice string   `json:"advice"`
	Since  uint32   `json:"since_seconds"`
}

// Offload is one of control's.
type Offload struct {
	_    struct{} `cbor:",toarray"`
	Name string   `json:"name"`
	Used bool     `json:"used"`
	Note string   `json:"note"`
}

// Backend is a path that the node may use, and why not.
type Backend struct {
	_           struct{} `cbor:",toarray"`
	Path        string   `json:"path"`
	Peers       uint16   `json:"peers"`
	Unavailable string   `json:"unavailable"`
}

// Shortcut is what the kernel of the node carries of path udp.
type Shortcut struct {
	_     struct{} `cbor:",toarray"`
	Ready bool     `json:"ready"`
	Why   string   `json:"why"`   // why not
	Peers uint16   `json:"peers"` // to which packets take it now
	Out   Traffic  `json:"out"`   // of this, Report.Out and In have everything, too
	In    Traffic  `json:"in"`
}

// Paths counts data paths by state.
type Paths struct {
	_         struct{} `cbor:",toarray"`
	Works     uint16   `json:"works"`
	SmallOnly uint16   `json:"small_only"`
	Failed    uint16   `json:"failed"`
	Unproven  uint16   `json:"unproven"`
}

// Traffic counts packets and their bytes, without overhead.
type Traffic struct {
	_       struct{} `cbor:",toarray"`
	Packets uint64   `json:"packets"`
	Bytes   uint64   `json:"bytes"`
}

// Drop counts dropped packets of one kind.
type Drop struct {
	_     struct{} `cbor:",toarray"`
	Kind  string   `json:"kind"`
	Count uint64   `json:"count"`
}

// Peer is another node as the writer of the report sees it. It travels without
// names.
type Peer struct {
	_     struct{} `cbor:",toarray"`
	ID    []byte   // the first 8 bytes of the node's ID
	State uint8    // index of states
	Path  uint8    // index of paths
	Proof uint8    // index of proofs
	RTT   uint32   // microseconds; 0: none known
	Sent  uint32   // probes, by the path in use
	Lost  uint32   // of these
	Out   uint64   // bytes
	In    uint64
}

// The words that a peer's numbers stand for. The first means that the writer
// has none, or one that is not known here. So a new word goes to the end.
var (
	states = []string{"", "alive", "suspect", "dead", "left"}
	paths  = []string{"", "udp", "direct", "vxlan", "ipip", control.PathKernel}
	proofs = []string{control.PathNone, control.PathUnproven, control.PathWorks, control.PathSmallOnly, control.PathFailed, control.PathImpossible}
)

// StateName is the state of the peer as gossip has it.
func (p Peer) StateName() string { return word(states, p.State) }

// PathName is the path by which packets reach it, "" for none.
func (p Peer) PathName() string { return word(paths, p.Path) }

// ProofName is what probes say of that path; see control.Path.
func (p Peer) ProofName() string { return word(proofs, p.Proof) }

func word(of []string, n uint8) string {
	if int(n) < len(of) {
		return of[n]
	}
	return ""
}

// number is the place of a word, 0 for one that is not there.
func number(of []string, w string) uint8 { return uint8(max(0, slices.Index(of, w))) }

// idBytes is how much of an ID a peer has.
const idBytes = 8

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ShortID is what a peer has of a node's ID; nil for what is no ID.
func ShortID(id string) []byte {
	b, err := idEncoding.DecodeString(id)
	if err != nil || len(b) < idBytes {
		return nil
	}
	return b[:idBytes]
}

// clip bounds a text in bytes, and replaces what is not printable.
func clip(text string, most int) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(text, "_"))
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
