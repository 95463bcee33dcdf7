// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"
)

// One datagram, from any goroutine, beside whatever the lane sends.
func TestSendOneBesideSend(t *testing.T) {
	a, b := listen(t, Config{Express: true, Lanes: 1})[0], listen(t, Config{})[0]
	const each = 50
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range each {
				if err := a.SendOne(b.LocalAddr(), []byte("one")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range each {
		if _, err := a.Send(texts(b.LocalAddr(), "many")); err != nil {
			t.Fatal(err)
		}
	}
	senders.Wait()
	ones := 0
	msgs := NewMessages(16, 100)
	for n := 5 * each; n > 0; {
		k, err := receiveSome(b, msgs)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs[:k] {
			if string(m.Buffers[0][:m.N]) == "one" {
				if ones++; m.Addr.Port()&oddPort != evenPort {
					t.Fatalf("sent from port %d, which is not the express one", m.Addr.Port())
				}
			}
		}
		n -= k
	}
	if ones != 4*each {
		t.Errorf("%d of %d arrived", ones, 4*each)
	}
}

func TestSendOneSaysWhatIsWrong(t *testing.T) {
	a, b := listen(t, Config{})[0], listen(t, Config{})[0]
	if err := a.SendOne(b.LocalAddr(), bytes.Repeat([]byte("x"), 65508)); err != ErrTooLong {
		t.Errorf("longer than a datagram: %v", err)
	}
	a.Close()
	if err := a.SendOne(b.LocalAddr(), []byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
