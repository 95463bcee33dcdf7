// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/internal/packet"
)

var (
	testToken   = token{id: 0x1234, cookie: [cookieLen]byte{1, 2, 3, 4, 5, 6, 7, 8}}
	testPeer    = peer{lease: netip.MustParsePrefix("10.244.2.0/24")}
	testRequest = request{source: self, destination: testPeer.lease.Addr(), sequence: 77, ttl: plainTTL, size: 1472}
)

func TestAnswersAreRecognised(t *testing.T) {
	small := testRequest
	small.size = smallSize
	ended := testRequest
	ended.destination, ended.ttl = testPeer.lease.Addr().Next(), 1
	for name, c := range map[string]struct {
		packet []byte
		want   reply
		ok     bool
	}{
		"echo reply":        {testPeer.answer(testToken.build(testRequest)), reply{testPeer.lease.Addr(), 77, packet.ICMPEchoReply, 0, 1472, false, true}, true},
		"small echo reply":  {testPeer.answer(testToken.build(small)), reply{testPeer.lease.Addr(), 77, packet.ICMPEchoReply, 0, smallSize, false, true}, true},
		"time exceeded":     {testPeer.answer(testToken.build(ended)), reply{testPeer.lease.Addr(), 77, packet.ICMPTimeExceeded, 0, 576, false, true}, true},
		"prohibited":        {icmpError(testPeer.lease.Addr(), packet.ICMPUnreachable, 13, testToken.build(small)), reply{testPeer.lease.Addr(), 77, packet.ICMPUnreachable, 13, 28 + smallSize, false, true}, true},
		"the request":       {testToken.build(testRequest), reply{}, false},
		"of another cookie": {testPeer.answer(token{id: 0x1234}.build(testRequest)), reply{}, false},
		"of another ID":     {testPeer.answer(token{id: 1, cookie: testToken.cookie}.build(testRequest)), reply{}, false},
	} {
		got, ok := testToken.parse(c.packet)
		if ok != c.ok || got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, ok)
		}
	}
	corrupt := testPeer.answer(testToken.build(testRequest))
	corrupt[len(corrupt)-1] ^= 1
	if _, ok := testToken.parse(corrupt); ok {
		t.Error("a reply that was damaged on the way is taken")
	}
	whole := packet.Packet(testPeer.answer(testToken.build(testRequest)))
	whole[6] &^= 0x40 // DF
	fragments := packet.NewFragmenter(whole.Header(), whole.Payload(), 576)
	for i := 0; ; i++ {
		header, payload, more := fragments.Next(new([packet.MaxHeaderLen]byte))
		if !more {
			break
		}
		if _, ok := testToken.parse(slices.Concat(header, payload)); ok != (i == 0) {
			t.Errorf("fragment %d of an echo reply: taken %t", i, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(testPeer.answer(testToken.build(testRequest)))
	f.Add(icmpError(testPeer.lease.Addr(), packet.ICMPTimeExceeded, 0, testToken.build(testRequest)))
	f.Add(reset(testToken.build(request{source: self, destination: testPeer.lease.Addr(), ttl: plainTTL, tcp: true, size: 1450})))
	marked := testToken
	marked.stamp = testStamp
	f.Add(testPeer.answer(marked.build(testRequest)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := testToken.parse(b)
		if ok && (r.size != len(b) || len(b) < min(smallSize, tcpHeaders)) {
			t.Errorf("%x: %+v", b, r)
		}
		if q, taken := marked.parse(b); taken != ok || q.stamped && !r.stamped {
			t.Errorf("%x: %+v with a stamp, %+v without", b, q, r)
		}
	})
}
