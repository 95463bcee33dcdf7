// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"net/netip"
	"testing"

	"flanneld/peers/internal/record"
)

func TestFrameIsReadBack(t *testing.T) {
	from, endpoint := record.NodeID{7}, netip.MustParseAddrPort("10.0.0.1:8286")
	for _, pad := range []int{0, 512} {
		b := EncodeDirect(from, endpoint, []byte("message"), pad)
		f, err := ParseFrame(b)
		if err != nil || f.From != from || f.Endpoint != endpoint || string(f.Message) != "message" || f.Size != len(b) || len(b) < pad {
			t.Errorf("padded to %d: %+v, %v", pad, f, err)
		}
	}
	f, err := ParseFrame(EncodeBroadcast([]byte("message")))
	if err != nil || !f.From.IsZero() || string(f.Message) != "message" {
		t.Errorf("%+v, %v", f, err)
	}
	whole := EncodeDirect(from, endpoint, []byte("message"), 0)
	for n := range whole {
		if _, err := ParseFrame(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for the whole", n, len(whole))
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(EncodeBroadcast([]byte("message")))
	f.Add(EncodeDirect(record.NodeID{1}, netip.MustParseAddrPort("10.0.0.1:8286"), []byte("message"), 64))
	f.Add([]byte{frameDirect})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseFrame(b)
		if err != nil || got.From.IsZero() {
			return
		}
		again, err := ParseFrame(EncodeDirect(got.From, got.Endpoint, got.Message, len(b)))
		if err != nil || again.From != got.From || again.Endpoint != got.Endpoint || !bytes.Equal(again.Message, got.Message) || again.Size != got.Size {
			t.Fatalf("%+v came back as %+v, %v", got, again, err)
		}
	})
}
