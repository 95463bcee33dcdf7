// SPDX-License-Identifier: Apache-2.0

// Package nfttest runs the rules of a table as the kernel does, for tests
// without root.
package nfttest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/nft"
)

// Packet is one that meets a table.
type Packet struct {
	In, Kind  string // device that it comes by, and its kind
	Out       string // device that it leaves by
	Link      []byte // headers; a rule that loads beyond their ends does not match
	Network   []byte
	Transport []byte
	User      int64 // of the sending socket; -1: it has none
	Reached   bool  // the host's routing leads to its source by In
	Local     bool  // its destination is an address of this host
	Mark      uint32

	Source netip.Addr // that a rule translates to; not valid: none does
}

// Run returns what a chain of a table does with a packet: accept, drop, or
// continue for its end. It changes Mark and Source of the packet as the rules
// do. An expression that it does not know ends the test.
func Run(t testing.TB, c nft.Content, chain string, p *Packet) expr.VerdictKind {
	t.Helper()
	m := &machine{t: t, chains: map[string][][]expr.Any{}, sets: map[string]map[string]bool{}, p: p}
	for _, spec := range c.Chains {
		m.chains[spec.Name] = spec.Rules
	}
	for _, s := range c.Sets {
		m.sets[s.Name] = s.Keys
	}
	return m.run(chain)
}

// CheckOrder fails where a rule leads to a chain that stands after it, or a key
// has not the length that the kernel reckons with from its set's type: the
// kernel makes a table in order.
func CheckOrder(t testing.TB, c nft.Content) {
	t.Helper()
	made := map[string]bool{}
	for _, spec := range c.Chains {
		for _, rule := range spec.Rules {
			for _, e := range rule {
				if v, ok := e.(*expr.Verdict); ok && v.Kind == expr.VerdictJump && !made[v.Chain] {
					t.Errorf("%s jumps to %s, which is made later", spec.Name, v.Chain)
				}
			}
		}
		made[spec.Name] = true
	}
	for _, s := range c.Sets {
		for key := range s.Keys {
			if len(key) != int(s.Key.Bytes) {
				t.Errorf("%s: key %q has not %d bytes", s.Name, key, s.Key.Bytes)
			}
		}
	}
}

// machine runs rules on registers of 4 bytes.
type machine struct {
	t      testing.TB
	chains map[string][][]expr.Any
	sets   map[string]map[string]bool
	p      *Packet
	regs   [80]byte
}

// at is where a register begins: 1 to 4 are of 16 bytes, 8 and up of 4.
func at(register uint32) int {
	if register < 8 {
		return int(register-1) * 16
	}
	return int(register-8) * 4
}

// store fills up with zeros to full registers, as the kernel does.
func (m *machine) store(register uint32, data []byte) {
	copy(m.regs[at(register):], append(slices.Clone(data), make([]byte, (4-len(data)%4)%4)...))
}

func (m *machine) run(chain string) expr.VerdictKind {
	rules, ok := m.chains[chain]
	if !ok {
		m.t.Fatalf("no chain %s", chain)
	}
	for _, rule := range rules {
		if v := m.rule(rule); v != expr.VerdictContinue {
			return v
		}
	}
	return expr.VerdictContinue
}

func (m *machine) rule(exprs []expr.Any) expr.VerdictKind {
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Objref:
		case *expr.NAT:
			if e.Type != expr.NATTypeSourceNAT {
				m.t.Fatalf("unknown translation %d", e.Type)
			}
			m.p.Source = netip.AddrFrom4([4]byte(m.regs[at(e.RegAddrMin):][:4]))
			return expr.VerdictAccept
		case *expr.Verdict:
			if e.Kind != expr.VerdictJump {
				return e.Kind
			}
			return m.run(e.Chain)
		default:
			if !m.matches(e) {
				return expr.VerdictContinue
			}
		}
	}
	return expr.VerdictContinue
}

func (m *machine) matches(e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Meta:
		return m.meta(e)
	case *expr.Immediate:
		m.store(e.Register, e.Data)
	case *expr.Payload:
		header := map[expr.PayloadBase][]byte{
			expr.PayloadBaseLLHeader: m.p.Link, expr.PayloadBaseNetworkHeader: m.p.Network, expr.PayloadBaseTransportHeader: m.p.Transport,
		}[e.Base]
		if int(e.Offset+e.Len) > len(header) {
			return false
		}
		m.store(e.DestRegister, header[e.Offset:e.Offset+e.Len])
	case *expr.Fib:
		m.store(e.Register, binary.NativeEndian.AppendUint32(nil, m.fib(e)))
	case *expr.Bitwise:
		data := make([]byte, e.Len)
		for i := range data {
			data[i] = m.regs[at(e.SourceRegister)+i]&e.Mask[i] ^ e.Xor[i]
		}
		m.store(e.DestRegister, data)
	case *expr.Cmp:
		equal := bytes.Equal(m.regs[at(e.Register):at(e.Register)+len(e.Data)], e.Data)
		return equal == (e.Op == expr.CmpOpEq)
	case *expr.Lookup:
		keys, ok := m.sets[e.SetName]
		if !ok {
			m.t.Fatalf("no set %s", e.SetName)
		}
		for key := range keys {
			if string(m.regs[at(e.SourceRegister):at(e.SourceRegister)+len(key)]) == key {
				return !e.Invert
			}
		}
		return e.Invert
	default:
		m.t.Fatalf("unknown expression %T", e)
	}
	return true
}

// fib is the kernel's answer: a kind of destination, or a device.
func (m *machine) fib(e *expr.Fib) uint32 {
	switch {
	case e.ResultADDRTYPE && m.p.Local:
		return unix.RTN_LOCAL
	case e.ResultADDRTYPE:
		return unix.RTN_UNICAST
	case m.p.Reached:
		return 7
	}
	return 0
}

func (m *machine) meta(e *expr.Meta) bool {
	if e.SourceRegister {
		if e.Key != expr.MetaKeyMARK {
			m.t.Fatalf("meta key %d is set", e.Key)
		}
		m.p.Mark = binary.NativeEndian.Uint32(m.regs[at(e.Register):])
		return true
	}
	switch e.Key {
	case expr.MetaKeyIIFNAME:
		m.store(e.Register, []byte(nft.NameKey(m.p.In)))
	case expr.MetaKeyOIFNAME:
		m.store(e.Register, []byte(nft.NameKey(m.p.Out)))
	case nft.MetaIIFKind:
		m.store(e.Register, []byte(nft.NameKey(m.p.Kind)))
	case expr.MetaKeyL4PROTO:
		m.store(e.Register, m.p.Network[9:10])
	case expr.MetaKeyMARK:
		m.store(e.Register, binary.NativeEndian.AppendUint32(nil, m.p.Mark))
	case expr.MetaKeySKUID:
		m.store(e.Register, binary.NativeEndian.AppendUint32(nil, uint32(m.p.User)))
		return m.p.User >= 0
	default:
		m.t.Fatalf("unknown meta key %d", e.Key)
	}
	return true
}
