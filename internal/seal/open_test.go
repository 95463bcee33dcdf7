// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// train seals packets of 100 bytes and returns them as one train.
func train(t testing.TB, w *world, a, b *host, stream, n int) []byte {
	var all []byte
	for i := range n {
		d := make([]byte, Overhead+100)
		d[HeaderLen] = byte(i)
		if !a.peers[b].Sending(stream, w.now).Seal(d) {
			t.Fatal("not sealed")
		}
		all = append(all, d...)
	}
	return all
}

func TestTrainIsOpenedUpToTheFaultsInIt(t *testing.T) {
	const size = Overhead + 100
	w, a, b := pair(t)
	w.connect(a, b)
	all := train(t, w, a, b, 0, 8)
	copy(all[2*size:], all[size:][:size])                                                        // a copy of the one before
	all[3*size+40]++                                                                             // altered
	all[4*size] = 0x45                                                                           // an IPv4 packet
	all[5*size] = typeInitiation                                                                 // a message of the handshake
	all[6*size+1] = 100                                                                          // a stream that the peer has not
	short := append(bytes.Clone(all), train(t, w, a, b, 0, 1)[:size-1]...)                       // cut
	want := []Reason{OK, OK, Replayed, Forged, Malformed, Handshake, UnknownSession, OK, Forged} // in this order
	handshake := bytes.Clone(short[5*size : 6*size])
	var out [MaxTrain]Opened
	count, rest := b.Open(w.now, short, size, &out)
	if count != len(want) || len(rest) != 0 {
		t.Fatalf("%d datagrams, rest %d", count, len(rest))
	}
	for i, o := range out[:count] {
		ok := o.Reason == OK
		if o.Reason != want[i] || ok != (len(o.Packet) == 100) || ok != (o.Peer == b.peers[a]) {
			t.Errorf("datagram %d: %v with %d bytes, want %v", i, o.Reason, len(o.Packet), want[i])
		}
		if ok && (o.Packet[0] != byte(i) || &o.Packet[0] != &short[i*size+HeaderLen]) {
			t.Errorf("datagram %d is not the one that was sealed, or was moved", i)
		}
	}
	if !bytes.Equal(handshake, short[5*size:6*size]) {
		t.Error("the message of the handshake was changed")
	}
}

func TestLongTrainIsOpenedInParts(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	all := train(t, w, a, b, 0, MaxTrain+3)
	var out [MaxTrain]Opened
	count, rest := b.Open(w.now, all, Overhead+100, &out)
	if count != MaxTrain || len(rest) != 3*(Overhead+100) {
		t.Fatalf("%d, rest %d", count, len(rest))
	}
	if count, rest = b.Open(w.now, rest, Overhead+100, &out); count != 3 || len(rest) != 0 || out[2].Reason != OK || out[2].Packet[0] != MaxTrain+2 {
		t.Errorf("%d, rest %d", count, len(rest))
	}
}

func TestForeignHeaderIsRefused(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	one := train(t, w, a, b, 0, 1)
	for bit := range 8 * len(one) {
		altered := bytes.Clone(one)
		altered[bit/8] ^= 1 << (bit % 8)
		var out [MaxTrain]Opened
		if b.Open(w.now, altered, 0, &out); out[0].Reason == OK {
			t.Errorf("bit %d can be flipped", bit)
		}
	}
	var out [MaxTrain]Opened
	// Reflected to the sender, it is no datagram of a session of the sender's.
	if a.Open(w.now, bytes.Clone(one), 0, &out); out[0].Reason != UnknownSession {
		t.Errorf("reflected: %v", out[0].Reason)
	}
	if b.Open(w.now, one, 0, &out); out[0].Reason != OK {
		t.Errorf("the true one: %v", out[0].Reason)
	}
}

// TestReflectedDatagramIsForged also where the index fits: each direction has
// its own key.
func TestReflectedDatagramIsForged(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	one := train(t, w, a, b, 0, 1)
	h, _ := parseHeader(one)
	h.index = a.peers[b].current.Load().index
	h.put(one)
	var out [MaxTrain]Opened
	if a.Open(w.now, one, 0, &out); out[0].Reason != Forged {
		t.Errorf("got %v", out[0].Reason)
	}
}

// TestCopiesAtSeveralLanesAreAcceptedOnce, while other lanes send, and the slow
// path ends the session.
func TestCopiesAtSeveralLanesAreAcceptedOnce(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	const lanes, trains = 4, 200
	var sealed [][]byte
	for range trains {
		sealed = append(sealed, train(t, w, a, b, 0, 8))
	}
	var accepted atomic.Int64
	var wait sync.WaitGroup
	for lane := range lanes {
		wait.Go(func() {
			var out [MaxTrain]Opened
			for i := range sealed {
				copied := bytes.Clone(sealed[(i+lane)%trains])
				count, _ := b.Open(w.now, copied, Overhead+100, &out)
				for _, o := range out[:count] {
					if o.Reason == OK {
						accepted.Add(1)
					}
				}
			}
		})
		wait.Go(func() {
			for range trains {
				if st := b.peers[a].Sending(lane, w.now); st != nil {
					st.Seal(make([]byte, Overhead+10))
				}
			}
		})
	}
	wait.Go(func() {
		for range 100 {
			b.Tick(w.now, func(*Peer, []byte) {})
			b.Status(w.now)
		}
	})
	wait.Wait()
	if got := accepted.Load(); got != trains*8 {
		t.Errorf("%d accepted, want %d", got, trains*8)
	}
	wait.Go(func() {
		var out [MaxTrain]Opened
		for range 100 {
			b.Open(w.now, slices.Clone(sealed[0]), Overhead+100, &out)
		}
	})
	b.RemovePeer(a.self)
	wait.Wait()
}
