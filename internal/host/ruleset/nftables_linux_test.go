// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

var testTable = &nftables.Table{Family: nftables.TableFamilyINet, Name: "x"}

// judge answers a rule for one of the test flows, with sets by name. Devices of
// this host are not asked for: flannel0 has number 7, and there is no other.
func judge(flow string, sets map[string][]nftables.SetElement, exprs ...expr.Any) evalRule {
	r := newReader(nil, nil)
	for name, elements := range sets {
		r.sets[Chain{FamilyInet, testTable.Name, name}] = elements
	}
	for _, f := range testFlows {
		r.devices[f.In], r.devices[f.Out] = value{}, value{}
	}
	r.devices["flannel0"] = value{known: native(7)}
	for _, f := range testFlows {
		if f.Name == flow {
			return (&registers{flow: f, reader: r, table: testTable}).rule(exprs)
		}
	}
	panic("no such flow")
}

func loadMeta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func loadNetwork(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func loadTransport(offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

func cmp(op expr.CmpOp, data ...byte) expr.Any { return &expr.Cmp{Op: op, Register: 1, Data: data} }

func is(data ...byte) expr.Any { return cmp(expr.CmpOpEq, data...) }

func isNot(data ...byte) expr.Any { return cmp(expr.CmpOpNeq, data...) }

func deviceKey(device string) []byte { return name(device).known }

func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func masked(mask ...byte) expr.Any {
	return &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))}
}

// The flow "in" is of TCP from 10.244.0.0/16 to 10.244.7.0/24, by flannel0 to
// docker0; "data" is of UDP to 192.168.50.11, port 8285, by eth0.
func TestConditionsOfARuleAreAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		flow  string
		exprs []expr.Any
		want  answer
	}{
		"no condition":              {"in", nil, yes},
		"its device":                {"in", []expr.Any{loadMeta(expr.MetaKeyIIFNAME), is(deviceKey("flannel0")...)}, yes},
		"another device":            {"in", []expr.Any{loadMeta(expr.MetaKeyIIFNAME), is(deviceKey("flannel1")...)}, no},
		"a longer name":             {"in", []expr.Any{loadMeta(expr.MetaKeyIIFNAME), is(deviceKey("flannel01")...)}, no},
		"not another device":        {"in", []expr.Any{loadMeta(expr.MetaKeyIIFNAME), isNot(deviceKey("eth0")...)}, yes},
		"a wildcard":                {"in", []expr.Any{loadMeta(expr.MetaKeyIIFNAME), is([]byte("flan")...)}, yes},
		"another wildcard":          {"in", []expr.Any{loadMeta(expr.MetaKeyOIFNAME), is([]byte("flan")...)}, no},
		"output of an input":        {"data", []expr.Any{loadMeta(expr.MetaKeyOIFNAME), is(deviceKey("eth0")...)}, maybe},
		"device by index":           {"in", []expr.Any{loadMeta(expr.MetaKeyIIF), is(native(7)...)}, yes},
		"another by index":          {"in", []expr.Any{loadMeta(expr.MetaKeyIIF), is(native(1)...)}, no},
		"a device that is not here": {"data", []expr.Any{loadMeta(expr.MetaKeyIIF), is(native(1)...)}, maybe},
		"IPv4":                      {"in", []expr.Any{loadMeta(expr.MetaKeyNFPROTO), is(unix.NFPROTO_IPV4)}, yes},
		"IPv6":                      {"in", []expr.Any{loadMeta(expr.MetaKeyNFPROTO), is(unix.NFPROTO_IPV6)}, no},
		"IPv4 by EtherType":         {"in", []expr.Any{loadMeta(expr.MetaKeyPROTOCOL), is(8, 0)}, yes},
		"UDP":                       {"data", []expr.Any{loadMeta(expr.MetaKeyL4PROTO), is(17)}, yes},
		"UDP, of TCP":               {"in", []expr.Any{loadMeta(expr.MetaKeyL4PROTO), is(17)}, no},
		"UDP in the header":         {"data", []expr.Any{loadNetwork(9, 1), is(17)}, yes},
		"time to live":              {"data", []expr.Any{loadNetwork(8, 1), is(17)}, maybe},
		"a mark":                    {"in", []expr.Any{loadMeta(expr.MetaKeyMARK), is(native(1)...)}, maybe},
		"sets a mark":               {"in", []expr.Any{&expr.Immediate{Register: 1, Data: native(1)}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}}, yes},
		"nothing was loaded":        {"in", []expr.Any{is(1)}, maybe},
		"source in 2 bytes":         {"in", []expr.Any{loadNetwork(12, 2), is(10, 244)}, yes},
		"source in 1 byte":          {"in", []expr.Any{loadNetwork(12, 1), is(10)}, yes},
		"source in 3 bytes":         {"in", []expr.Any{loadNetwork(12, 3), is(10, 244, 9)}, maybe},
		"another source":            {"in", []expr.Any{loadNetwork(12, 2), is(10, 245)}, no},
		"source and destination":    {"in", []expr.Any{loadNetwork(12, 8), is(10, 244, 9, 1, 10, 244, 7, 1)}, maybe},
		"destination masked":        {"in", []expr.Any{loadNetwork(16, 4), masked(255, 255, 255, 0), is(10, 244, 7, 0)}, yes},
		"a single destination":      {"in", []expr.Any{loadNetwork(16, 4), is(10, 244, 7, 2)}, maybe},
		"not a single destination":  {"in", []expr.Any{loadNetwork(16, 4), isNot(10, 244, 7, 2)}, maybe},
		"not any destination of it": {"in", []expr.Any{loadNetwork(16, 4), masked(255, 255, 255, 0), isNot(10, 244, 7, 0)}, no},
		"a mask with a hole":        {"in", []expr.Any{loadNetwork(16, 4), masked(255, 0, 255, 0), is(10, 0, 7, 0)}, maybe},
		"everything":                {"in", []expr.Any{loadNetwork(16, 4), masked(0, 0, 0, 0), is(0, 0, 0, 0)}, yes},
		"an inverted address": {"in", []expr.Any{loadNetwork(16, 4),
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{255, 255, 255, 0}, Xor: []byte{0, 0, 1, 0}}, is(10, 244, 6, 0)}, maybe},
		"a range of sources":      {"in", []expr.Any{loadNetwork(12, 4), cmp(expr.CmpOpGte, 10, 244, 0, 0), cmp(expr.CmpOpLte, 10, 244, 0, 9)}, maybe},
		"source of a datagram":    {"data", []expr.Any{loadNetwork(12, 4), is(10, 244, 7, 2)}, maybe},
		"its port":                {"data", []expr.Any{loadTransport(2, 2), is(0x20, 0x5d)}, yes},
		"another port":            {"data", []expr.Any{loadTransport(2, 2), is(0x20, 0x5e)}, no},
		"a port of any":           {"in", []expr.Any{loadTransport(2, 2), is(0x20, 0x5e)}, maybe},
		"a source port":           {"data", []expr.Any{loadTransport(0, 2), is(0, 67)}, maybe},
		"both ports":              {"data", []expr.Any{loadTransport(0, 4), is(0, 67, 0x20, 0x5d)}, maybe},
		"both ports, another":     {"data", []expr.Any{loadTransport(0, 4), is(0, 67, 0, 68)}, no},
		"not both, another":       {"data", []expr.Any{loadTransport(0, 4), isNot(0, 67, 0, 68)}, yes},
		"below its port":          {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpLt, 0x20, 0x5d)}, no},
		"up to its port":          {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpLte, 0x20, 0x5d)}, yes},
		"above its port":          {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpGt, 0x20, 0x5d)}, no},
		"from its port":           {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpGte, 0x20, 0x5d)}, yes},
		"more than is known":      {"data", []expr.Any{loadTransport(2, 2), is(0x20, 0x5d, 0, 0)}, maybe},
		"a range around its port": {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpGte, 0x1f, 0x40), cmp(expr.CmpOpLte, 0x23, 0x28)}, yes},
		"a range beside its port": {"data", []expr.Any{loadTransport(2, 2), cmp(expr.CmpOpGte, 0x1f, 0x40), cmp(expr.CmpOpLte, 0x1f, 0x41)}, no},
		"an operator of tomorrow": {"data", []expr.Any{loadTransport(2, 2), cmp(99, 0x20, 0x5d)}, maybe},
		"state new":               {"in", []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}, masked(native(stateNew)...), isNot(0, 0, 0, 0)}, yes},
		"state established":       {"in", []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}, masked(native(2)...), isNot(0, 0, 0, 0)}, no},
		"destination NAT":         {"in", []expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, masked(native(0x20)...), isNot(0, 0, 0, 0)}, no},
		"connection mark":         {"in", []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: 1}, is(native(1)...)}, maybe},
		"a mask of another size":  {"data", []expr.Any{loadTransport(2, 2), &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{255}, Xor: []byte{0, 0}}, is(0x20, 0x5d)}, maybe},
		"a mask of more bytes":    {"data", []expr.Any{loadTransport(2, 2), masked(255, 255, 255, 255), is(0x20, 0x5d, 0, 0)}, maybe},
		"a mask of both ports":    {"data", []expr.Any{loadTransport(0, 4), masked(0, 0, 255, 255), is(0, 0, 0x20, 0x5d)}, maybe},
		"a limit":                 {"in", []expr.Any{&expr.Limit{Rate: 5}}, maybe},
		"a limit after a miss":    {"in", []expr.Any{loadMeta(expr.MetaKeyL4PROTO), is(17), &expr.Limit{Rate: 5}}, no},
		"registers after a limit": {"in", []expr.Any{loadMeta(expr.MetaKeyL4PROTO), &expr.Limit{Rate: 5}, is(17)}, maybe},
		"a name of 4 bytes":       {"in", []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 8}, is(17)}, no}, // registers 1 and 8 are one
		"the next register":       {"in", []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 9}, is(17)}, maybe},
		"counted and logged":      {"in", []expr.Any{&expr.Counter{}, &expr.Log{}, &expr.Objref{}, &expr.Notrack{}}, yes},
		"match of UDP":            {"data", []expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{8000, 8285}}}}, yes},
		"match of UDP, of TCP":    {"gossip", []expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{0, 0xffff}}}}, no},
		"match, another port":     {"data", []expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{8286, 9000}}}}, no},
		"match, a source port":    {"data", []expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: [2]uint16{67, 67}, DstPorts: [2]uint16{8285, 8285}}}}, maybe},
		"match, inverted": {"data", []expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{8285, 8285},
			InvFlags: xt.UdpInvDestPorts}}}, maybe},
		"match of all TCP":   {"in", []expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{0, 0xffff}}}}, yes},
		"match of some TCP":  {"in", []expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{22, 22}}}}, maybe},
		"match of TCP flags": {"gossip", []expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{SrcPorts: [2]uint16{0, 0xffff}, DstPorts: [2]uint16{8286, 8286}, FlagsMask: 2}}}, maybe},
		"comment":            {"in", []expr.Any{&expr.Match{Name: "comment"}}, yes},
		"an unknown match":   {"in", []expr.Any{&expr.Match{Name: "string"}}, maybe},
		"match new":          {"in", []expr.Any{conntrackMatch(xtStateNew, false, xt.ConntrackState)}, yes},
		"match established":  {"in", []expr.Any{conntrackMatch(2, false, xt.ConntrackState)}, no},
		"match not new":      {"in", []expr.Any{conntrackMatch(xtStateNew, true, xt.ConntrackState)}, no},
		"match not old":      {"in", []expr.Any{conntrackMatch(2, true, xt.ConntrackState)}, yes},
		"match new and more": {"in", []expr.Any{conntrackMatch(xtStateNew, false, xt.ConntrackState|xt.ConntrackProto)}, maybe},
	} {
		if got := judge(c.flow, nil, c.exprs...); got.match != c.want || got.action != actContinue {
			t.Errorf("%s: match %d, action %d, want match %d", name, got.match, got.action, c.want)
		}
	}
}

func conntrackMatch(states uint16, inverted bool, flags xt.ConntrackFlags) expr.Any {
	info := &xt.ConntrackMtinfo3{}
	info.MatchFlags, info.StateMask = uint16(flags), states
	if inverted {
		info.InvertFlags = uint16(xt.ConntrackState)
	}
	return &expr.Match{Name: "conntrack", Rev: 3, Info: info}
}

// What may let a packet pass is no reason to report that it is dropped.
func TestActionsOfARuleAreKnown(t *testing.T) {
	verdict := func(kind expr.VerdictKind) expr.Any { return &expr.Verdict{Kind: kind, Chain: "c"} }
	for name, c := range map[string]struct {
		e      expr.Any
		want   action
		target string
	}{
		"accept":                     {verdict(expr.VerdictAccept), actAccept, ""},
		"drop":                       {verdict(expr.VerdictDrop), actDrop, ""},
		"return":                     {verdict(expr.VerdictReturn), actReturn, ""},
		"continue":                   {verdict(expr.VerdictContinue), actContinue, ""},
		"jump":                       {verdict(expr.VerdictJump), actJump, "c"},
		"goto":                       {verdict(expr.VerdictGoto), actGoto, "c"},
		"a queue's verdict":          {verdict(expr.VerdictQueue), actUnknown, ""},
		"reject":                     {&expr.Reject{}, actDrop, ""},
		"target REJECT":              {&expr.Target{Name: "REJECT"}, actDrop, ""},
		"target LOG":                 {&expr.Target{Name: "LOG"}, actContinue, ""},
		"target NFQUEUE":             {&expr.Target{Name: "NFQUEUE"}, actUnknown, ""},
		"a target that is not known": {&expr.Target{Name: "SYNPROXY"}, actUnknown, ""},
		"a program that decides":     {&expr.Queue{Num: 1}, actUnknown, ""},
		"a proxy for connections":    {&expr.SynProxy{}, actUnknown, ""},
	} {
		if got := judge("in", nil, c.e); got.match != yes || got.action != c.want || got.target != c.target {
			t.Errorf("%s: match %d, action %d to %q, want %d to %q", name, got.match, got.action, got.target, c.want, c.target)
		}
	}
}

// A new source address may let a packet pass, and counts where sources are
// asked for.
func TestNewSourceAddressCountsWhereItIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		e    expr.Any
		want action
	}{
		"masquerade":        {&expr.Masq{FullyRandom: true}, actDrop},
		"snat":              {&expr.NAT{Type: expr.NATTypeSourceNAT}, actDrop},
		"dnat":              {&expr.NAT{Type: expr.NATTypeDestNAT}, actUnknown},
		"target MASQUERADE": {&expr.Target{Name: "MASQUERADE"}, actDrop},
		"target SNAT":       {&expr.Target{Name: "SNAT"}, actDrop},
		"target DNAT":       {&expr.Target{Name: "DNAT"}, actUnknown},
		"accept":            {&expr.Verdict{Kind: expr.VerdictAccept}, actAccept},
	} {
		for _, source := range []bool{true, false} {
			want := c.want
			if !source && want == actDrop {
				want = actUnknown
			}
			got := (&registers{flow: testFlows[0], table: testTable, source: source}).rule([]expr.Any{c.e})
			if got.match != yes || got.action != want || (got.text == "masquerade or snat") != (want == actDrop) {
				t.Errorf("%s, asked for %t: %+v, want action %d", name, source, got, want)
			}
		}
	}
}

// The library leaves out expressions that it does not know. What such a one has
// loaded is compared in the place of what was loaded before.
func TestRegisterIsComparedOnce(t *testing.T) {
	// meta l4proto tcp socket transparent 1 accept
	got := judge("in", nil, loadMeta(expr.MetaKeyL4PROTO), is(6), is(1), &expr.Verdict{Kind: expr.VerdictAccept})
	if got.match != maybe || got.action != actAccept {
		t.Errorf("a comparison with what is not known: match %d, action %d", got.match, got.action)
	}
	got = judge("in", map[string][]nftables.SetElement{"s": {{Key: []byte{6}}}},
		loadMeta(expr.MetaKeyL4PROTO), &expr.Lookup{SourceRegister: 1, SetName: "s"}, is(1))
	if got.match != maybe {
		t.Errorf("a comparison after a look into a set: match %d", got.match)
	}
}

// verdictValue is a verdict as the kernel keeps it in a map.
func verdictValue(kind expr.VerdictKind, chain string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, 8)
	b = binary.NativeEndian.AppendUint16(b, unix.NFTA_VERDICT_CODE)
	b = binary.BigEndian.AppendUint32(b, uint32(int32(kind)))
	if chain != "" {
		b = append(b, attribute(unix.NFTA_VERDICT_CHAIN, chain)...)
	}
	return b
}

func TestSetsAndMapsAreLookedUp(t *testing.T) {
	key := func(device string) nftables.SetElement { return nftables.SetElement{Key: deviceKey(device)} }
	to := func(device string, kind expr.VerdictKind, chain string) nftables.SetElement {
		return nftables.SetElement{Key: deviceKey(device), Val: verdictValue(kind, chain)}
	}
	sets := map[string][]nftables.SetElement{
		"ours":     {key("eth9"), key("flannel0")},
		"others":   {key("eth8"), key("eth9")},
		"interval": {{Key: []byte("a")}, {Key: []byte("b"), IntervalEnd: true}},
		"range":    {{Key: deviceKey("a"), KeyEnd: deviceKey("z")}},
		"pair":     {{Key: append(deviceKey("flannel0"), 0, 0, 0, 17)}},
		"gone":     nil,
		"accepts":  {to("eth9", expr.VerdictDrop, ""), to("flannel0", expr.VerdictAccept, "")},
		"jumps":    {to("flannel0", expr.VerdictJump, "mine")},
		"misses":   {to("eth9", expr.VerdictDrop, "")},
		"damaged":  {{Key: deviceKey("flannel0"), Val: []byte{1}}},
	}
	for _, c := range []struct {
		set           string
		isMap, invert bool
		want          answer
		action        action
		target        string
	}{
		{"ours", false, false, yes, actContinue, ""},
		{"ours", false, true, no, actContinue, ""},
		{"others", false, false, no, actContinue, ""},
		{"others", false, true, yes, actContinue, ""},
		{"interval", false, false, maybe, actContinue, ""},
		{"interval", false, true, maybe, actContinue, ""},
		{"range", false, false, maybe, actContinue, ""},
		{"pair", false, false, maybe, actContinue, ""},
		{"gone", false, false, maybe, actContinue, ""},
		{"accepts", true, false, yes, actAccept, ""},
		{"jumps", true, false, yes, actJump, "mine"},
		{"misses", true, false, no, actContinue, ""},
		{"range", true, false, maybe, actUnknown, ""},
		{"gone", true, false, maybe, actUnknown, ""},
		{"damaged", true, false, yes, actUnknown, ""},
	} {
		lookup := &expr.Lookup{SourceRegister: 1, SetName: c.set, Invert: c.invert}
		if c.isMap {
			lookup.IsDestRegSet, lookup.DestRegister = true, unix.NFT_REG_VERDICT
		}
		got := judge("in", sets, loadMeta(expr.MetaKeyIIFNAME), lookup)
		if got.match != c.want || got.action != c.action || got.target != c.target {
			t.Errorf("%s, map %t, inverted %t: match %d, action %d to %q", c.set, c.isMap, c.invert, got.match, got.action, got.target)
		}
	}
	if got := judge("data", sets, loadMeta(expr.MetaKeyOIFNAME), &expr.Lookup{SourceRegister: 1, SetName: "ours"}); got.match != maybe {
		t.Errorf("a device that is not known: match %d", got.match)
	}
}

// A chain that the reader knows nothing of may do anything.
func TestChainThatIsNotListedIsUnknown(t *testing.T) {
	r := newReader(nil, []*nftables.Chain{{Name: "f", Table: testTable}})
	r.rules[Chain{FamilyInet, "x", "f"}] = []*nftables.Rule{{Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "gone"}}}}
	if why, drops := r.forFlow(testTable, testFlows[0], false).drops("f", true); drops {
		t.Errorf("dropped: %s", why)
	}
	r.rules[Chain{FamilyInet, "x", "f"}] = nil
	if _, drops := r.forFlow(testTable, testFlows[0], false).drops("f", true); !drops {
		t.Error("an empty chain with the policy drop lets pass")
	}
}

func FuzzVerdict(f *testing.F) {
	f.Add(verdictValue(expr.VerdictJump, "chain"))
	f.Add(verdictValue(expr.VerdictDrop, ""))
	f.Add([]byte{8, 0, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := verdictOf(b)
		if len(b) < 8 && v.Kind != expr.VerdictQueue {
			t.Errorf("%x is a verdict: %+v", b, v)
		}
		if _, act, target := verdict(v); (act == actJump || act == actGoto) && target != v.Chain || act == actUnknown && target != "" {
			t.Errorf("%x: action %d to %q", b, act, target)
		}
		if again := verdictOf(verdictValue(v.Kind, v.Chain)); fmt.Sprint(*again) != fmt.Sprint(*v) {
			t.Errorf("%x: %+v, written anew %+v", b, v, again)
		}
	})
}
