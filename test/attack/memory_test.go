// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestBytesBeforeProofAreBounded makes a node read bytes that it cannot
// authenticate yet.
func TestBytesBeforeProofAreBounded(t *testing.T) {
	t.Parallel()
	key := keyFile(t)
	for _, c := range []struct {
		name string
		args []string
	}{{"unsealed", nil}, {"sealed", []string{"--key-file", key}}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newField(t, c.args...)
			leases := f.leases()
			rest := f.atRest(t)
			for _, attack := range []struct {
				name string
				run  func(*testing.T, *field)
			}{
				{"16 streams that announce 20 MB", largeStreams},
				{"16 streams that announce 8 MB", largestStreams},
				{"16 streams that announce 4 MB", strangersStreams},
				{"16 streams that announce a million members", manyMembers},
				{"16 streams of compressed messages", compressedStreams},
				{"10 compressed datagrams a second", compressedDatagrams},
				{"compressed datagrams in compounds", compressedCompounds},
				{"16 sealed streams", sealedStreams},
				{"16 streams of an encrypted message of 20 MB in the old format", oldStreams},
			} {
				m := Watch(t, f.hosts[0].Daemon)
				attack.run(t, f)
				within(t, attack.name, rest, m.Stop(t))
			}
			f.healthy(t, leases)
		})
	}
}

// keyFile writes a cluster key.
func keyFile(t *testing.T) string {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

// attackTime is how long one attack goes on, so that its cost is a mean and not
// a moment.
const attackTime = 3 * time.Second

// streams keeps n streams to the founder open for the attack's time. Each
// begins with the same bytes and continues for as long as the node reads. A
// stream that the node has closed is opened again after a moment.
func streams(t *testing.T, f *field, n int, beginning []byte) {
	t.Helper()
	deadline := time.Now().Add(attackTime)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for time.Now().Before(deadline) {
				if conn, err := f.stranger.Dial(f.hosts[0].Addr); err == nil {
					pour(conn, beginning, deadline)
					_ = conn.Close()
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	all.Wait()
}

func pour(conn net.Conn, beginning []byte, deadline time.Time) {
	_ = conn.SetDeadline(deadline)
	junk := bytes.Repeat([]byte{0}, 64<<10)
	if _, err := conn.Write(beginning); err != nil {
		return
	}
	for range 25 << 20 / len(junk) {
		if _, err := conn.Write(junk); err != nil {
			return
		}
	}
	_, _ = conn.Read(junk) // until the node ends it
}

// announced is a frame with the announced length and only its first bytes.
func announced(mode byte, length uint32, beginning []byte) []byte {
	return append(binary.BigEndian.AppendUint32(envelope(mode), length), beginning...)
}

func largeStreams(t *testing.T, f *field) {
	streams(t, f, 16, announced(modePlain, 20<<20, message(typeUser, userHeader{20 << 20})))
}

// largestStreams announce the largest length that a frame may have.
func largestStreams(t *testing.T, f *field) {
	streams(t, f, 16, announced(modePlain, 8<<20, message(typeUser, userHeader{8<<20 - 32})))
}

// strangersStreams announce the largest length that a stranger's frame may
// have.
func strangersStreams(t *testing.T, f *field) {
	streams(t, f, 16, announced(modePlain, 4<<20, message(typeUser, userHeader{4<<20 - 32})))
}

func manyMembers(t *testing.T, f *field) {
	streams(t, f, 16, frame(message(typePushPull, pushPullHeader{Nodes: 1 << 20, UserStateLen: 0, Join: true})))
}

func compressedStreams(t *testing.T, f *field) {
	streams(t, f, 16, frame(compressed(make([]byte, 39<<20))))
}

// sealedStreams begin with bytes that only the key distinguishes from those of
// a member.
func sealedStreams(t *testing.T, f *field) {
	streams(t, f, 16, append(envelope(modeSealed), bytes.Repeat([]byte{5}, 64)...))
}

// oldStreams speak the format of memberlist, which reads a sealed message whole
// before it looks at the key: type 10 and a length.
func oldStreams(t *testing.T, f *field) {
	head := append([]byte{typeLabel, byte(len(oldLabel))}, oldLabel...)
	streams(t, f, 16, binary.BigEndian.AppendUint32(append(head, 10), 20<<20))
}

func compressedDatagrams(t *testing.T, f *field) {
	tenASecond(t, f, compressed(make([]byte, 20<<20)))
}

func compressedCompounds(t *testing.T, f *field) {
	inner := compressed(make([]byte, 10<<20))
	tenASecond(t, f, compound(compound(inner, inner)))
}

func tenASecond(t *testing.T, f *field, msg []byte) {
	t.Helper()
	if len(msg) > 60_000 {
		t.Fatalf("the message has %d bytes and fits no datagram", len(msg))
	}
	for range attackTime / (100 * time.Millisecond) {
		if err := f.stranger.Say(f.hosts[0].Addr, msg); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
