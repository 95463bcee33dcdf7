// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

// Stream is a TCP connection on which pseudo-random bytes flow one way until it
// is stopped, about 30 MB a second at most.
type Stream struct {
	stop  chan struct{}
	sent  chan received
	came  <-chan received
	close func() error
}

// streamPause is between two chunks of a stream.
const streamPause = 2 * time.Millisecond

// StartStream opens the connection, and begins to send.
func StartStream(t TB, from, to *Namespace, at netip.AddrPort) *Stream {
	t.Helper()
	listener := to.Listen(t, at)
	s := &Stream{stop: make(chan struct{}), sent: make(chan received, 1), came: receive(listener)}
	conn, err := from.Dial(at, 5*time.Second*patience())
	if err != nil {
		listener.Close()
		t.Fatalf("connect %s to %v: %v", from.Name, at, err)
	}
	s.close = func() error { return errors.Join(conn.Close(), listener.Close()) }
	go func() { s.sent <- s.send(conn) }()
	return s
}

func (s *Stream) send(conn net.Conn) (sent received) {
	tick := time.NewTicker(streamPause)
	defer tick.Stop()
	digest, source := sha256.New(), rand.NewChaCha8([32]byte{})
	const chunk = 64 << 10
	for {
		if sent.err = copyWithProgress(conn, digest, source, chunk); sent.err != nil {
			return sent
		}
		sent.size += chunk
		select {
		case <-s.stop:
			sent.sum, sent.err = [32]byte(digest.Sum(nil)), finish(conn)
			return sent
		case <-tick.C:
		}
	}
}

// Stop ends the stream. It returns how many bytes have arrived, and an error
// where the connection broke or other bytes came than were sent.
func (s *Stream) Stop() (size int64, err error) {
	close(s.stop)
	sent := <-s.sent
	err = errors.Join(sent.err, s.close())
	came := <-s.came
	if err == nil && came.err == nil && came.sum != sent.sum {
		err = fmt.Errorf("%d bytes sent, %d others received", sent.size, came.size)
	}
	return came.size, errors.Join(err, came.err)
}
