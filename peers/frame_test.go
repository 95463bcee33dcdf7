package peers

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

func TestFrameIsReadBack(t *testing.T) {
	from, endpoint := record.NodeID{7}, netip.MustParseAddrPort("10.0.0.1:8286")
	for _, pad := range []int{0, newcomerFrame} {
		b := encodeDirect(from, endpoint, []byte("message"), pad)
		f, err := parseFrame(b)
		if err != nil || f.from != from || f.endpoint != endpoint || string(f.msg) != "message" || f.size != len(b) || len(b) < pad {
			t.Errorf("padded to %d: %+v, %v", pad, f, err)
		}
	}
	f, err := parseFrame(encodeRumour([]byte("message")))
	if err != nil || !f.from.IsZero() || string(f.msg) != "message" {
		t.Errorf("%+v, %v", f, err)
	}
	whole := encodeDirect(from, endpoint, []byte("message"), 0)
	for n := range whole {
		if _, err := parseFrame(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for the whole", n, len(whole))
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(encodeRumour([]byte("message")))
	f.Add(encodeDirect(record.NodeID{1}, netip.MustParseAddrPort("10.0.0.1:8286"), []byte("message"), 64))
	f.Add([]byte{frameDirect})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFrame(b)
		if err != nil || got.from.IsZero() {
			return
		}
		again, err := parseFrame(encodeDirect(got.from, got.endpoint, got.msg, len(b)))
		if err != nil || again.from != got.from || again.endpoint != got.endpoint || !bytes.Equal(again.msg, got.msg) || again.size != got.size {
			t.Fatalf("%+v came back as %+v, %v", got, again, err)
		}
	})
}

func TestNoMoreIsAnsweredThanWasAsked(t *testing.T) {
	now := time.Unix(0, 0)
	r := newReturnPaths(netip.MustParseAddrPort("10.0.0.1:8286"))
	from := record.NodeID{1}
	for _, bad := range []string{"224.0.0.1:1", "0.0.0.0:1", "255.255.255.255:1", "127.0.0.1:1", "10.0.0.2:0", "10.0.0.1:8286"} {
		r.learn(frame{from: from, endpoint: netip.MustParseAddrPort(bad), size: 500}, now)
		if at, ok := r.take(from, 1, now); ok {
			t.Errorf("would answer to %s", at)
		}
	}
	there := netip.MustParseAddrPort("10.0.0.2:8286")
	r.learn(frame{from: from, endpoint: there, size: 500}, now)
	if at, ok := r.take(from, 300, now); !ok || at != there {
		t.Errorf("300 of 500 bytes: %v %v", at, ok)
	}
	if _, ok := r.take(from, 201, now); ok {
		t.Error("more than 500 bytes")
	}
	if _, ok := r.take(from, 200, now.Add(2*returnPathFor)); ok {
		t.Error("long afterwards")
	}
	for i := range 2 * maxReturnPaths {
		r.learn(frame{from: record.NodeID{2, byte(i >> 8), byte(i)}, endpoint: there, size: 500}, now)
	}
	if len(r.paths) > maxReturnPaths {
		t.Errorf("%d paths", len(r.paths))
	}
}
