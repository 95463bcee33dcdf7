// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/netip"
	"testing"
)

func TestTraceIsAskedForByAddress(t *testing.T) {
	path, _ := serve(t, &fake{})
	got, err := NewClient(path).Trace(t.Context(), TraceRequest{Address: netip.MustParseAddr("10.244.9.2"), Bridge: "docker0"})
	if err != nil || got.Bridge != "docker0" || got.Address.String() != "10.244.9.2" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []TraceRequest{{}, {Address: netip.MustParseAddr("::1")}, {Address: netip.MustParseAddr("10.244.9.2"), Bridge: "0123456789abcdef"}} {
		if _, err := NewClient(path).Trace(t.Context(), bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func FuzzDecodeTrace(f *testing.F) {
	for _, seed := range []string{
		`{"address":"10.244.9.2"}`, `{"address":"10.244.9.2","bridge":"br0"}`, `{"address":"::ffff:10.244.9.2"}`, `{"address":""}`, `{}`, `{"address":"fe80::1%eth0"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := decodeChecked[TraceRequest](body); err == nil && (!r.Address.Is4() || len(r.Bridge) > 15) {
			t.Errorf("%q: %+v accepted", body, r)
		}
	})
}
