// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"flanneld/internal/poll"
)

// A pair of connected sockets that keep message boundaries behaves like a TUN
// descriptor in the ways that a queue relies on: one packet a read, EAGAIN when
// empty.

// newTestQueue returns a queue and the descriptor that replaces the kernel.
func newTestQueue(t *testing.T) (q *Queue, kernel int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	queues, err := newQueues(fds[:1], Offloads{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		queues[0].Close()
		unix.Close(fds[1])
	})
	return queues[0], fds[1]
}

func send(t *testing.T, fd int, packets ...string) {
	t.Helper()
	for _, p := range packets {
		if _, err := unix.Write(fd, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
}

// readSome waits for packets.
func readSome(q *Queue, b *Batch) (int, error) {
	w := poll.NewWaiter(q.Descriptor())
	for {
		if n, err := q.Read(b); n > 0 || err != nil {
			return n, err
		}
		if err := w.Wait(1, time.Millisecond); err != nil {
			return 0, err
		}
	}
}

func TestReadDrainsWhatIsThere(t *testing.T) {
	q, kernel := newTestQueue(t)
	send(t, kernel, "one", "two", "three")
	b := NewBatch(8, 100, 64<<10)
	n, err := q.Read(b)
	if n != 3 || err != nil {
		t.Fatalf("Read = %d, %v; want 3 packets", n, err)
	}
	for i, want := range []string{"one", "two", "three"} {
		if got := string(b.Packets[i].Data); got != want {
			t.Errorf("packet %d is %q, want %q", i, got, want)
		}
	}
}

func TestReadLeavesWhatDoesNotFitTheBatch(t *testing.T) {
	q, kernel := newTestQueue(t)
	send(t, kernel, "one", "two", "three")
	b := NewBatch(2, 100, 64<<10)
	for _, want := range []int{2, 1} {
		if n, err := q.Read(b); n != want || err != nil {
			t.Fatalf("Read = %d, %v; want %d packets", n, err, want)
		}
	}
	if got := string(b.Packets[0].Data); got != "three" {
		t.Errorf("the last packet is %q, want %q", got, "three")
	}
}

func TestReadDoesNotWait(t *testing.T) {
	q, _ := newTestQueue(t)
	if n, err := q.Read(NewBatch(2, 100, 64<<10)); n != 0 || err != nil {
		t.Errorf("Read = %d, %v; want nothing", n, err)
	}
}

func TestPacketsCanBeWaitedFor(t *testing.T) {
	q, kernel := newTestQueue(t)
	got := make(chan string)
	go func() {
		b := NewBatch(2, 100, 64<<10)
		n, err := readSome(q, b)
		got <- fmt.Sprintf("%d %v %s", n, err, b.Packets[0].Data)
	}()
	send(t, kernel, "late")
	if s := <-got; s != "1 <nil> late" {
		t.Errorf("Read gave %q", s)
	}
}

func TestWriteKeepsPacketBoundaries(t *testing.T) {
	q, kernel := newTestQueue(t)
	for _, p := range []string{"one", "two"} {
		if err := q.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 100)
	for _, want := range []string{"one", "two"} {
		n, err := unix.Read(kernel, buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("the kernel got %q, %v; want %q", buf[:n], err, want)
		}
	}
	if err := q.Write(nil); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Write of nothing: %v, want EINVAL", err)
	}
}

func TestCloseEndsAWaitForPackets(t *testing.T) {
	defer goleak.VerifyNone(t)
	q, _ := newTestQueue(t)
	failed := make(chan error)
	go func() {
		_, err := readSome(q, NewBatch(1, 100, 64<<10))
		failed <- err
	}()
	if err := q.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-failed; err != fs.ErrClosed {
		t.Errorf("a wait, or the Read after it: %v, want %v", err, fs.ErrClosed)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	q, kernel := newTestQueue(t)
	send(t, kernel, "packet")
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Read(NewBatch(1, 100, 64<<10)); err != fs.ErrClosed {
		t.Errorf("Read: %v, want %v", err, fs.ErrClosed)
	}
	if err := q.Write([]byte("packet")); err != fs.ErrClosed {
		t.Errorf("Write: %v, want %v", err, fs.ErrClosed)
	}
	if err := q.Close(); err != fs.ErrClosed {
		t.Errorf("second Close: %v, want %v", err, fs.ErrClosed)
	}
}

// Closing while others write must neither hang nor close a descriptor under a
// system call, which would show as an error other than ErrClosed.
func TestCloseWhileWriting(t *testing.T) {
	for range 50 {
		q, kernel := newTestQueue(t)
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				for {
					err := q.Write([]byte("packet"))
					if err == fs.ErrClosed {
						return
					}
					if err != nil && !errors.Is(err, unix.EAGAIN) {
						t.Errorf("Write: %v", err)
						return
					}
				}
			})
		}
		buf := make([]byte, 100)
		for got := 0; got < 3; {
			if _, err := unix.Read(kernel, buf); err == nil {
				got++
			}
		}
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		writers.Wait()
	}
}

func TestCloseGivesDescriptorsBack(t *testing.T) {
	before := openDescriptors(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	queues, err := newQueues(fds[:], Offloads{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range queues {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
}

// openDescriptors is the number of descriptors of this process.
func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestDescriptorErrorsHaveMeaning(t *testing.T) {
	for errno, want := range map[error]error{
		unix.EBADFD:  ErrDeviceGone,
		unix.EIO:     ErrDeviceDown,
		unix.EINVAL:  unix.EINVAL,
		fs.ErrClosed: fs.ErrClosed,
	} {
		if got := queueError("read", errno); !errors.Is(got, want) {
			t.Errorf("%v became %v, want %v", errno, got, want)
		}
	}
}

func TestOpenErrorsHaveMeaning(t *testing.T) {
	for errno, want := range map[error]error{
		unix.ENOENT: ErrNoDevice,
		unix.ENODEV: ErrNoDevice,
		unix.ENXIO:  ErrNoDevice,
		unix.EACCES: ErrPermission,
		unix.EPERM:  ErrPermission,
		unix.EMFILE: unix.EMFILE,
	} {
		got := explainOpen(errno)
		if !errors.Is(got, want) || !errors.Is(got, errno) {
			t.Errorf("%v became %v, want %v", errno, got, want)
		}
	}
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	q, kernel := newTestQueue(t)
	b := NewBatch(4, 2000, 64<<10)
	packet := bytes.Repeat([]byte{1}, 1400)
	buf := make([]byte, 2000)
	allocs := testing.AllocsPerRun(100, func() {
		unix.Write(kernel, packet)
		if n, err := q.Read(b); n != 1 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		if err := q.Write(b.Packets[0].Data); err != nil {
			t.Fatal(err)
		}
		unix.Read(kernel, buf)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a packet, want none", allocs)
	}
}
