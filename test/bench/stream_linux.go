// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

const (
	streamPort  = 5201
	streamBlock = 128 << 10
	// rampUp is how long a stream has to find its speed before it is measured.
	rampUp = 400 * time.Millisecond
)

// streams are TCP connections that carry as much as they can.
type streams struct {
	connections []connection
	received    atomic.Int64 // bytes
	ends        sync.WaitGroup
}

// add opens n more streams and starts them.
func (s *streams) add(from, to *lab.Pod, n int) error {
	for range n {
		c, err := connect(from, to, streamPort)
		if err != nil {
			return err
		}
		s.connections = append(s.connections, c)
		s.ends.Go(func() { onThread(func() { pour(c.client) }) })
		s.ends.Go(func() { onThread(func() { s.drain(c.server) }) })
	}
	return nil
}

// stop ends the streams; none is left when it returns.
func (s *streams) stop() {
	for _, c := range s.connections {
		c.end()
	}
	s.ends.Wait()
	for _, c := range s.connections {
		c.close()
	}
}

// pour sends until the connection ends. The block is filled, as in a real
// program: memory that was never written to is one page of zeroes to the
// kernel.
func pour(fd int) {
	block := bytes.Repeat([]byte{0xa5}, streamBlock)
	for {
		if _, err := unix.Write(fd, block); err != nil && !temporary(err) {
			return
		}
	}
}

// drain receives until the connection ends.
func (s *streams) drain(fd int) {
	block := make([]byte, streamBlock)
	for {
		n, err := unix.Read(fd, block)
		if err != nil && !temporary(err) || err == nil && n == 0 {
			return
		}
		s.received.Add(int64(max(n, 0)))
	}
}

// throughput is the result of streams over a while.
type throughput struct {
	bits float64
	time time.Duration
	busy float64 // seconds, of all processors together
}

func (t throughput) gigabits() float64 { return t.bits / 1e9 / t.time.Seconds() }

// cost is in seconds of processor time for 100 Gbit.
func (t throughput) cost() float64 { return t.busy / (t.bits / 1e11) }

// watch measures the streams for a while, once they are up to speed.
func (s *streams) watch(length time.Duration) (t throughput, err error) {
	time.Sleep(rampUp)
	start, before := time.Now(), s.received.Load()
	busy, err := processorTime()
	if err != nil {
		return t, err
	}
	time.Sleep(length)
	t.bits = float64(s.received.Load()-before) * 8
	t.time = time.Since(start)
	if t.busy, err = processorTime(); err != nil {
		return t, err
	}
	t.busy -= busy
	if t.bits == 0 {
		return t, errors.New("nothing arrived")
	}
	return t, nil
}

// stream measures n streams one way and, if asked, as many the other way.
func stream(path *path, n int, both bool, length time.Duration) (throughput, error) {
	var s streams
	defer s.stop()
	if err := s.add(path.from, path.to, n); err != nil {
		return throughput{}, err
	}
	if both {
		if err := s.add(path.to, path.from, n); err != nil {
			return throughput{}, err
		}
	}
	return s.watch(length)
}
