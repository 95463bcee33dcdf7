// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// noBlanks checks addresses in tests.
func noBlanks(address string) error {
	if address == "" || strings.ContainsAny(address, " ;/") {
		return errors.New("not HOST or HOST:PORT")
	}
	return nil
}

func FuzzDecodeJoin(f *testing.F) {
	for _, seed := range []string{`{"addresses":["host1:8286"]}`, `{"addresses":[]}`, `{}`, `null`, `[]`, `{"addresses":["a"]} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeJoin(body, noBlanks)
		if err != nil {
			return
		}
		if len(r.Addresses) == 0 || len(r.Addresses) > maxAddresses {
			t.Errorf("%q: %d addresses accepted", body, len(r.Addresses))
		}
		for _, a := range r.Addresses {
			if noBlanks(a) != nil {
				t.Errorf("%q: address %q accepted", body, a)
			}
		}
	})
}

func FuzzDecodeForget(f *testing.F) {
	for _, seed := range []string{`{"node":"beta"}`, `{"node":"\u202eateb"}`, "{\"node\":\"\xff\"}", `{"node":"a\u0085b"}`, `{"node":""}`, `{"node":1}`, `{"node":"a b"}`, `{"Node":"x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeForget(body)
		odd := func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
		if err == nil && (r.Node == "" || len(r.Node) > MaxNodeName || strings.ContainsFunc(r.Node, odd)) {
			t.Errorf("%q: node %q accepted", body, r.Node)
		}
	})
}

func FuzzDecodePing(f *testing.F) {
	for _, seed := range []string{
		`{"node":"beta","count":3}`, `{"node":"beta","path":"vxlan","count":20,"size":1450}`, `{"node":"","count":1}`,
		`{"node":"b","count":0}`, `{"node":"b","count":21}`, `{"node":"b","count":1,"size":63}`, `{"node":"b","count":1,"path":"host-gw"}`, `{"node":"b","count":1e3}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeChecked[PingRequest](body)
		if err != nil {
			return
		}
		if r.Node == "" || r.Count < 1 || r.Count > MaxPings || r.Size < 0 || r.Size > MaxPingSize || r.Path != "" && !slices.Contains(PingNames(), r.Path) {
			t.Errorf("%q: %+v accepted", body, r)
		}
	})
}

func FuzzDecodeShortcut(f *testing.F) {
	for _, seed := range []string{`{"setting":"auto"}`, `{"setting":"off"}`, `{"setting":"on"}`, `{"setting":""}`, `{}`, `{"setting":1}`, `{"setting":"off"} x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeChecked[ShortcutRequest](body)
		if err == nil && r.Setting != ShortcutAuto && r.Setting != ShortcutOff {
			t.Errorf("%q: %+v accepted", body, r)
		}
	})
}

// An address that is accepted is one the route table can be asked for.
func FuzzDecodeAddress(f *testing.F) {
	for _, seed := range []string{"10.244.1.2", "::1", "::ffff:1.2.3.4", "fe80::1%eth0", "", "1.2.3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := decodeAddress(text)
		if err == nil && (!a.IsValid() || a.Is4In6() || a.Zone() != "") {
			t.Errorf("%q: %v accepted", text, a)
		}
	})
}
