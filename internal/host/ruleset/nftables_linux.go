// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// reader reads rules of nf_tables as they are asked for, each chain once.
type reader struct {
	conn    *nftables.Conn
	chains  map[Chain]*nftables.Chain
	rules   map[Chain][]*nftables.Rule
	sets    map[Chain][]nftables.SetElement // by table and name of the set
	devices map[string]value                // their indexes, by name
	err     error                           // the first
}

func newReader(conn *nftables.Conn, chains []*nftables.Chain) *reader {
	r := &reader{conn: conn, chains: map[Chain]*nftables.Chain{}, rules: map[Chain][]*nftables.Rule{}, sets: map[Chain][]nftables.SetElement{},
		devices: map[string]value{}}
	for _, c := range chains {
		r.chains[Chain{Family(c.Table.Family), c.Table.Name, c.Name}] = c
	}
	return r
}

// forFlow is a table as one flow meets it. With source, a rule that gives it
// another source address drops it, so to speak.
func (r *reader) forFlow(table *nftables.Table, f Flow, source bool) evalTable {
	return evalTable{load: func(name string) ([]evalRule, bool) {
		key := Chain{Family(table.Family), table.Name, name}
		chain, ok := r.chains[key]
		if !ok {
			return nil, false
		}
		rules, ok := r.rules[key]
		if !ok {
			var err error
			if rules, err = r.conn.GetRules(chain.Table, chain); err != nil && r.err == nil {
				r.err = fmt.Errorf("ruleset: list chain %s of table %s: %w", name, table.Name, err)
			}
			r.rules[key] = rules
		}
		all := make([]evalRule, len(rules))
		for i, rule := range rules {
			all[i] = (&registers{flow: f, reader: r, table: table, source: source}).rule(rule.Exprs)
		}
		return all, true
	}}
}

// elements returns a set's elements.
func (r *reader) elements(table *nftables.Table, name string) ([]nftables.SetElement, bool) {
	key := Chain{Family(table.Family), table.Name, name}
	if known, ok := r.sets[key]; ok {
		return known, known != nil
	}
	all, err := r.conn.GetSetElements(&nftables.Set{Table: table, Name: name})
	if err != nil {
		all = nil
	}
	r.sets[key] = all
	return all, all != nil
}

// index is the number of a device, which `iif lo` compares. It is not known
// where there is no such device now.
func (r *reader) index(device string) (v value) {
	if device == "" {
		return v
	}
	if known, ok := r.devices[device]; ok {
		return known
	}
	if d, err := net.InterfaceByName(device); err == nil {
		v.known = binary.NativeEndian.AppendUint32(nil, uint32(d.Index))
	}
	r.devices[device] = v
	return v
}

// value is what a register holds. The zero value is not known.
type value struct {
	known []byte       // the same for all packets of the flow
	open  int          // but for so many bytes at its beginning
	addrs netip.Prefix // or addresses
	mask  []byte       // only these bits are kept; nil: all
}

// registers answers one rule of nf_tables for a flow.
type registers struct {
	flow   Flow
	reader *reader
	table  *nftables.Table
	regs   map[uint32]value
	// source: a new source address ends the chain, as a drop does. Otherwise it
	// may let the packet pass or not.
	source bool
}

// register numbers 1 to 4 are the old names of 16 bytes each, 8 and up those of
// 4 bytes.
func register(n uint32) uint32 {
	if n >= 1 && n <= 4 {
		return 8 + (n-1)*4
	}
	return n
}

// take returns what a register holds, once: the library leaves out expressions
// that it does not know, and such a one may have loaded what is compared next.
func (g *registers) take(n uint32) value {
	v := g.regs[register(n)]
	delete(g.regs, register(n))
	return v
}

func (g *registers) rule(exprs []expr.Any) evalRule {
	r := evalRule{match: yes}
	g.regs = map[uint32]value{}
	for _, e := range exprs {
		a, act, target := g.step(e)
		r.match = r.match.and(a)
		if r.match == no {
			return r
		}
		if act != actContinue {
			r.action, r.target = act, target
			r.text = g.describe(act)
		}
	}
	return r
}

func (g *registers) describe(a action) string {
	switch {
	case a != actDrop:
		return ""
	case g.source:
		return "masquerade or snat"
	}
	return "drop or reject"
}

// step follows one expression.
func (g *registers) step(e expr.Any) (answer, action, string) {
	switch e := e.(type) {
	case nil:
		return maybe, actContinue, ""
	case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Objref:
		return yes, actContinue, ""
	case *expr.Verdict:
		return verdict(e)
	case *expr.Reject:
		return yes, actDrop, ""
	case *expr.Masq:
		return yes, g.translate(), ""
	case *expr.NAT:
		if e.Type == expr.NATTypeSourceNAT {
			return yes, g.translate(), ""
		}
		return yes, actUnknown, ""
	case *expr.Queue, *expr.SynProxy: // another program, or the kernel, answers
		return yes, actUnknown, ""
	case *expr.Target:
		if e.Name == "MASQUERADE" || e.Name == "SNAT" {
			return yes, g.translate(), ""
		}
		act, target := namedAction(false, e.Name)
		if act == actJump { // a target that is not known, no chain
			act, target = actUnknown, ""
		}
		return yes, act, target
	case *expr.Match:
		return g.xtMatch(e), actContinue, ""
	case *expr.Meta:
		if !e.SourceRegister {
			g.regs[register(e.Register)] = g.meta(e.Key)
		}
		return yes, actContinue, ""
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			g.regs[register(e.DestRegister)] = g.payload(e)
		}
		return yes, actContinue, ""
	case *expr.Ct:
		if !e.SourceRegister {
			g.regs[register(e.Register)] = conntrack(e.Key)
		}
		return yes, actContinue, ""
	case *expr.Bitwise:
		g.regs[register(e.DestRegister)] = bitwise(g.regs[register(e.SourceRegister)], e)
		return yes, actContinue, ""
	case *expr.Cmp:
		v := g.regs[register(e.Register)]
		if e.Op == expr.CmpOpEq || e.Op == expr.CmpOpNeq { // the ends of a range are compared one after the other
			v = g.take(e.Register)
		}
		return compare(v, e.Op, e.Data), actContinue, ""
	case *expr.Lookup:
		return g.lookup(e)
	case *expr.Immediate:
		g.regs[register(e.Register)] = value{}
		return yes, actContinue, ""
	}
	g.regs = map[uint32]value{} // it may have written any
	return maybe, actContinue, ""
}

// translate is what a rule with another source address does.
func (g *registers) translate() action {
	if g.source {
		return actDrop
	}
	return actUnknown
}

func verdict(v *expr.Verdict) (answer, action, string) {
	switch v.Kind {
	case expr.VerdictAccept:
		return yes, actAccept, ""
	case expr.VerdictDrop:
		return yes, actDrop, ""
	case expr.VerdictReturn:
		return yes, actReturn, ""
	case expr.VerdictJump:
		return yes, actJump, v.Chain
	case expr.VerdictGoto:
		return yes, actGoto, v.Chain
	case expr.VerdictContinue:
		return yes, actContinue, ""
	}
	return yes, actUnknown, ""
}

func name(device string) value {
	if device == "" {
		return value{}
	}
	b := make([]byte, 16)
	copy(b, device)
	return value{known: b}
}

func (g *registers) meta(key expr.MetaKey) value {
	switch key {
	case expr.MetaKeyIIFNAME:
		return name(g.flow.In)
	case expr.MetaKeyOIFNAME:
		return name(g.flow.Out)
	case expr.MetaKeyIIF:
		return g.reader.index(g.flow.In)
	case expr.MetaKeyOIF:
		return g.reader.index(g.flow.Out)
	case expr.MetaKeyNFPROTO:
		return value{known: []byte{unix.NFPROTO_IPV4}}
	case expr.MetaKeyPROTOCOL:
		return value{known: []byte{0x08, 0x00}}
	case expr.MetaKeyL4PROTO:
		if g.flow.Proto != 0 {
			return value{known: []byte{g.flow.Proto}}
		}
	}
	return value{}
}

func (g *registers) payload(e *expr.Payload) value {
	network := e.Base == expr.PayloadBaseNetworkHeader
	switch {
	case network && e.Offset == 12 && e.Len <= 4:
		return value{addrs: g.flow.From, mask: ones(e.Len)}
	case network && e.Offset == 16 && e.Len <= 4:
		return value{addrs: g.flow.To, mask: ones(e.Len)}
	case network && e.Offset == 9 && e.Len == 1 && g.flow.Proto != 0:
		return value{known: []byte{g.flow.Proto}}
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2 && g.flow.Port != 0:
		return value{known: binary.BigEndian.AppendUint16(nil, g.flow.Port)}
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 0 && e.Len == 4 && g.flow.Port != 0:
		return value{known: binary.BigEndian.AppendUint16([]byte{0, 0}, g.flow.Port), open: 2} // both ports at once
	}
	return value{}
}

// ones is a mask of the first n bytes of an address.
func ones(n uint32) []byte {
	mask := make([]byte, 4)
	for i := range min(n, 4) {
		mask[i] = 0xff
	}
	return mask
}

// stateNew is what `ct state` loads for the first packet of a connection, and
// xtStateNew the same for the match of iptables (XT_CONNTRACK_STATE_BIT).
const (
	stateNew   = 8
	xtStateNew = 8
)

func conntrack(key expr.CtKey) value {
	switch key {
	case expr.CtKeySTATE:
		return value{known: binary.NativeEndian.AppendUint32(nil, stateNew)}
	case expr.CtKeySTATUS: // no source or destination NAT yet
		return value{known: binary.NativeEndian.AppendUint32(nil, 0)}
	}
	return value{}
}

// bitwise is (value & mask) ^ xor; of addresses only a mask is followed.
func bitwise(v value, e *expr.Bitwise) value {
	if e.Len == 0 || len(e.Mask) != int(e.Len) || len(e.Xor) != int(e.Len) {
		return value{}
	}
	if v.addrs.IsValid() {
		if bytes.Count(e.Xor, []byte{0}) != len(e.Xor) || len(e.Mask) != 4 {
			return value{}
		}
		return value{addrs: v.addrs, mask: e.Mask}
	}
	if len(v.known) < len(e.Mask) || v.open > 0 {
		return value{}
	}
	out := make([]byte, len(e.Mask))
	for i := range out {
		out[i] = v.known[i]&e.Mask[i] ^ e.Xor[i]
	}
	return value{known: out}
}

func compare(v value, op expr.CmpOp, data []byte) answer {
	a := maybe
	switch {
	case v.addrs.IsValid() && len(data) <= 4:
		if p, ok := prefixOf(data, v.mask); ok {
			a = within(v.addrs, p)
		}
	case v.open > 0:
		if len(data) == len(v.known) && !bytes.Equal(v.known[v.open:], data[v.open:]) {
			a = no
		}
	case v.known != nil && len(data) <= len(v.known):
		if op != expr.CmpOpEq && op != expr.CmpOpNeq {
			return ordered(bytes.Compare(v.known[:len(data)], data), op)
		}
		a = answerOf(bytes.Equal(v.known[:len(data)], data))
	}
	switch op {
	case expr.CmpOpEq:
		return a
	case expr.CmpOpNeq:
		return a.not()
	}
	return maybe
}

func ordered(c int, op expr.CmpOp) answer {
	switch op {
	case expr.CmpOpLt:
		return answerOf(c < 0)
	case expr.CmpOpLte:
		return answerOf(c <= 0)
	case expr.CmpOpGt:
		return answerOf(c > 0)
	case expr.CmpOpGte:
		return answerOf(c >= 0)
	}
	return maybe
}

// prefixOf is the network that an address is compared with.
func prefixOf(data, mask []byte) (netip.Prefix, bool) {
	var addr [4]byte
	copy(addr[:], data)
	m := binary.BigEndian.Uint32(append(append([]byte{}, mask...), 0, 0, 0, 0)[:4])
	length := bits.LeadingZeros32(^m)
	if m != ^uint32(0)<<(32-length) && length != 0 || length == 0 && m != 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(netip.AddrFrom4(addr), length).Masked(), true
}

// lookup answers a set without intervals, or a verdict map of one.
func (g *registers) lookup(e *expr.Lookup) (answer, action, string) {
	v := g.take(e.SourceRegister)
	all, ok := g.reader.elements(g.table, e.SetName)
	a := maybe
	if ok && v.known != nil && v.open == 0 {
		a = answerOf(false)
		for _, el := range all {
			if el.IntervalEnd || len(el.KeyEnd) > 0 || len(el.Key) > len(v.known) {
				a = maybe // an interval, or a concatenation
				break
			}
			if bytes.Equal(el.Key, v.known[:len(el.Key)]) {
				a = yes
				if e.IsDestRegSet && e.DestRegister == unix.NFT_REG_VERDICT {
					return verdict(verdictOf(el.Val))
				}
			}
		}
	}
	if e.IsDestRegSet { // a map that did not tell its verdict
		if a != no {
			return a, actUnknown, ""
		}
		return no, actContinue, ""
	}
	if e.Invert {
		a = a.not()
	}
	return a, actContinue, ""
}

// portsMatch answers the matches tcp and udp; simple: there is nothing to
// answer but the ports. Of source ports nothing is known.
func (g *registers) portsMatch(proto byte, dst, src [2]uint16, simple bool) answer {
	a := maybe
	switch {
	case g.flow.Proto != 0 && g.flow.Proto != proto:
		return no
	case !simple:
		return maybe
	case g.flow.Port != 0:
		a = answerOf(g.flow.Port >= dst[0] && g.flow.Port <= dst[1])
	case dst == [2]uint16{0, 0xffff}:
		a = yes
	}
	if src != [2]uint16{0, 0xffff} {
		a = a.and(maybe)
	}
	return a
}

// verdictOf reads the verdict of a map's element (NFTA_VERDICT_CODE and
// NFTA_VERDICT_CHAIN), which the library leaves in its bytes.
func verdictOf(b []byte) *expr.Verdict {
	v := &expr.Verdict{Kind: expr.VerdictQueue, Chain: text(b, unix.NFTA_VERDICT_CHAIN)}
	if len(b) >= 8 && binary.NativeEndian.Uint16(b[2:])&attrTypeMask == unix.NFTA_VERDICT_CODE {
		v.Kind = expr.VerdictKind(int32(binary.BigEndian.Uint32(b[4:])))
	}
	return v
}

// xtMatch answers a match of iptables.
func (g *registers) xtMatch(m *expr.Match) answer {
	switch info := m.Info.(type) {
	case *xt.Udp:
		return g.portsMatch(packet.UDP, info.DstPorts, info.SrcPorts, info.InvFlags == 0)
	case *xt.Tcp:
		return g.portsMatch(packet.TCP, info.DstPorts, info.SrcPorts, info.InvFlags == 0 && info.FlagsMask == 0 && info.Option == 0)
	}
	if m.Name == "comment" {
		return yes
	}
	info, ok := m.Info.(*xt.ConntrackMtinfo3)
	if m.Name != "conntrack" || !ok || info.MatchFlags != uint16(xt.ConntrackState) {
		return maybe
	}
	a := answerOf(info.StateMask&xtStateNew != 0)
	if info.InvertFlags&uint16(xt.ConntrackState) != 0 {
		a = a.not()
	}
	return a
}
