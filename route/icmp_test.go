// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

var testLease = netip.MustParsePrefix("10.244.1.0/24")

func TestAnswerMessage(t *testing.T) {
	a := newICMPResponder(testLease, 1472)
	about := packettest.Spec{Payload: packettest.Pattern(100)}.Build()
	m := a.answer(about, answers[NeedsFragmentation], 1372)
	p, err := packet.Parse(m)
	if err != nil {
		t.Fatalf("the answer itself: %v", err)
	}
	if p.Source() != netip.MustParseAddr("10.244.1.0") || p.Destination() != netip.MustParseAddr("10.244.1.5") {
		t.Errorf("from %s to %s, want from 10.244.1.0 to 10.244.1.5", p.Source(), p.Destination())
	}
	icmp := p.Payload()
	if p.Protocol() != packet.ICMP || icmp[0] != 3 || icmp[1] != 4 || packettest.SlowChecksum(icmp) != 0 {
		t.Errorf("protocol %d, message %x", p.Protocol(), icmp)
	}
	if mtu := binary.BigEndian.Uint16(icmp[6:]); mtu != 1372 {
		t.Errorf("MTU %d, want 1372", mtu)
	}
	if !bytes.Equal(icmp[packet.ICMPHeaderLen:], about) {
		t.Errorf("quotes %x, want the packet", icmp[packet.ICMPHeaderLen:])
	}
}

func TestOnlyFragmentationNeededTellsAnMTU(t *testing.T) {
	a := newICMPResponder(testLease, 1472)
	for reason, kind := range answers {
		if kind.typ == 0 || Reason(reason) == NeedsFragmentation {
			continue
		}
		icmp := a.answer(packettest.Spec{}.Build(), kind, 1372).Payload()
		if rest := binary.BigEndian.Uint32(icmp[4:]); rest != 0 {
			t.Errorf("%s: unused field is %#x, want 0", Reason(reason), rest)
		}
	}
}

func TestAnswerQuotesNoMoreThanFits(t *testing.T) {
	for mtu, want := range map[int]int{1472: 576, 576: 576, 300: 300, packet.MinMTU: packet.MinMTU} {
		a := newICMPResponder(testLease, mtu)
		about := packettest.Spec{Payload: packettest.Pattern(1000)}.Build()
		if m := a.answer(about, answers[NoRoute], 0); len(m) != want {
			t.Errorf("device MTU %d: an answer of %d bytes, want %d", mtu, len(m), want)
		}
	}
}

// An answer must not show what an earlier one quoted.
func TestAnswersDoNotMix(t *testing.T) {
	a := newICMPResponder(testLease, 1472)
	a.answer(packettest.Spec{Payload: packettest.Pattern(500)}.Build(), answers[NeedsFragmentation], 1000)
	short := packettest.Spec{}.Build()
	fresh := newICMPResponder(testLease, 1472)
	if got, want := a.answer(short, answers[TTLExpired], 0), fresh.answer(short, answers[TTLExpired], 0); !bytes.Equal(got, want) {
		t.Errorf("second answer %x, want %x", []byte(got), []byte(want))
	}
}

func TestWhatIsNeverAnswered(t *testing.T) {
	icmp := func(typ byte) packettest.Spec {
		return packettest.Spec{Protocol: packet.ICMP, Payload: []byte{typ, 0, 0, 0, 0, 0, 0, 0}}
	}
	tests := []struct {
		name   string
		packet packettest.Spec
		want   bool
	}{
		{"UDP", packettest.Spec{Payload: packettest.Pattern(20)}, true},
		{"TCP", packettest.Spec{Protocol: 6}, true},
		{"echo request", icmp(8), true},
		{"echo reply", icmp(0), true},
		{"timestamp request", icmp(13), true},
		{"destination unreachable", icmp(3), false},
		{"source quench", icmp(4), false},
		{"redirect", icmp(5), false},
		{"time exceeded", icmp(11), false},
		{"parameter problem", icmp(12), false},
		{"unassigned type", icmp(200), false},
		{"ICMP without a type", packettest.Spec{Protocol: packet.ICMP}, false},
		{"first fragment", packettest.Spec{Flags: packet.FlagMF, Payload: packettest.Pattern(8)}, true},
		{"later fragment", packettest.Spec{Flags: 1, Payload: packettest.Pattern(8)}, false},
		{"last fragment", packettest.Spec{Flags: packet.FlagMF | 100, Payload: packettest.Pattern(8)}, false},
		{"multicast", packettest.Spec{Dst: "224.0.0.1"}, false},
		{"limited broadcast", packettest.Spec{Dst: "255.255.255.255"}, false},
		{"from the lease's broadcast address", packettest.Spec{Src: "10.244.1.255"}, false},
		{"from the host itself", packettest.Spec{Src: "10.244.1.0"}, true},
	}
	a := newICMPResponder(testLease, 1472)
	for _, test := range tests {
		if got := a.mayAnswer(test.packet.Build()); got != test.want {
			t.Errorf("%s: answered %v, want %v", test.name, got, test.want)
		}
	}
}

func TestBroadcastAddressOfALease(t *testing.T) {
	for lease, want := range map[string]string{
		"10.244.1.0/24": "10.244.1.255",
		"10.244.0.0/22": "10.244.3.255",
		"10.244.1.4/30": "10.244.1.7",
		"10.244.1.4/31": "invalid IP",
		"10.244.1.4/32": "invalid IP",
	} {
		a := newICMPResponder(netip.MustParsePrefix(lease), 1472)
		if got := a.broadcast.String(); got != want {
			t.Errorf("%s: %s, want %s", lease, got, want)
		}
	}
}

func TestAnswersAreLimitedEachReasonForItself(t *testing.T) {
	l := newICMPLimiter()
	now := time.Now()
	sent := 0
	for range 10 * answerBurst {
		if l.allow(NoRoute, now) {
			sent++
		}
	}
	if sent != answerBurst {
		t.Errorf("%d answers at once, want %d", sent, answerBurst)
	}
	if !l.allow(NeedsFragmentation, now) {
		t.Error("packets to nowhere suppress what a path MTU is learned from")
	}
	if !l.allow(NoRoute, now.Add(time.Second)) {
		t.Error("still suppressed after a second")
	}
}

// Whatever packet an answer is about, the answer is a correct packet.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(packettest.Spec{Payload: packettest.Pattern(30)}.Build()), 1400)
	f.Add([]byte(packettest.Spec{Protocol: packet.ICMP, Payload: []byte{8}}.Build()), 68)
	f.Add([]byte(packettest.Spec{Protocol: packet.ICMP}.Build()), 65535)
	f.Add([]byte(packettest.Spec{Options: []byte{1, 1, 1, 0}, Payload: packettest.Pattern(900)}.Build()), 0)
	a := newICMPResponder(netip.MustParsePrefix("0.0.0.0/0"), 1472)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		b = packettest.Repair(b)
		about, err := packet.Parse(b)
		if err != nil || !a.mayAnswer(about) {
			return
		}
		for _, kind := range answers {
			if kind.typ == 0 {
				continue
			}
			m, err := packet.Parse(a.answer(about, kind, mtu))
			if err != nil || packettest.SlowChecksum(m.Payload()) != 0 || len(m) > maxAnswer {
				t.Fatalf("answer %x: %v", []byte(m), err)
			}
			if m.Destination() != about.Source() || !bytes.HasPrefix(b, m.Payload()[packet.ICMPHeaderLen:]) {
				t.Fatalf("answer %x to %x", []byte(m), b)
			}
			if a.mayAnswer(m) {
				t.Fatal("an answer would be answered")
			}
		}
	})
}

// Lanes pass times that lie before each other's. However they alternate, no
// more answers go out than a burst and the rate over that time.
func TestAnswerLimitDoesNotGoBack(t *testing.T) {
	l, start := newICMPLimiter(), time.Now()
	const passed = 100 * time.Millisecond
	allowed := 0
	for at := time.Duration(0); at < passed; at += time.Millisecond {
		for range 50 {
			for _, late := range []time.Duration{0, 20 * time.Millisecond} {
				if l.allow(NoRoute, start.Add(at-late)) {
					allowed++
				}
			}
		}
	}
	if most := answerBurst + int(answersPerSecond*passed.Seconds()); allowed > most {
		t.Errorf("%d answers within %v, want %d at most", allowed, passed, most)
	}
}
