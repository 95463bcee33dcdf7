// SPDX-License-Identifier: Apache-2.0

package poll

import (
	"io/fs"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// A lane's way to wait.
const (
	looks = 50
	short = 200 * time.Microsecond
	each  = 5 * time.Millisecond
	times = 4
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a Descriptor and the end of a pipe that makes it readable.
func pipe(t *testing.T) (*Descriptor, *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	d, err := NewDescriptor(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() {
		d.Close()
		w.Close()
	})
	return d, w
}

// waiting starts a Waiter and returns where its results appear; after each it
// waits again when it is told to.
func waiting(ds ...*Descriptor) (results chan error, again chan struct{}) {
	results, again = make(chan error), make(chan struct{})
	go func() {
		for w := NewWaiter(ds...); ; {
			results <- w.Wait(looks, short)
			if _, ok := <-again; !ok {
				return
			}
		}
	}()
	return results, again
}

func TestEitherDescriptorEndsAWait(t *testing.T) {
	a, toA := pipe(t)
	b, toB := pipe(t)
	results, again := waiting(a, b)
	buf := make([]byte, 8)
	for i, end := range []*os.File{toA, toB, toA} {
		if i > 0 {
			again <- struct{}{}
		}
		if _, err := end.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-results; err != nil {
			t.Errorf("wait %d: %v", i, err)
		}
		for _, d := range []*Descriptor{a, b} {
			unix.Read(d.FD(), buf)
		}
	}
	close(again)
}

func TestCloseEndsAWait(t *testing.T) {
	for closed := range 2 {
		a, _ := pipe(t)
		b, _ := pipe(t)
		ds := []*Descriptor{a, b}
		results, again := waiting(ds...)
		if err := ds[closed].Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-results; err != fs.ErrClosed {
			t.Errorf("Wait: %v, want %v", err, fs.ErrClosed)
		}
		again <- struct{}{}
		if err := <-results; err != fs.ErrClosed {
			t.Errorf("Wait once closed: %v, want %v", err, fs.ErrClosed)
		}
		close(again)
		// The other one has no users left: its Close does not hang.
		if err := ds[1-closed].Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := ds[closed].Close(); err != fs.ErrClosed {
			t.Errorf("second Close: %v, want %v", err, fs.ErrClosed)
		}
	}
}

// A number that is given back may soon be another file's.
func TestCloseWaitsForUsers(t *testing.T) {
	d, _ := pipe(t)
	if !d.Acquire() {
		t.Fatal("not open")
	}
	ended := make(chan error)
	go func() { ended <- d.Close() }()
	for !d.closed() {
	}
	if d.Acquire() {
		t.Error("a new user of a closed descriptor")
	}
	if _, err := unix.FcntlInt(uintptr(d.FD()), unix.F_GETFD, 0); err != nil {
		t.Errorf("closed under its user: %v", err)
	}
	d.Release()
	if err := <-ended; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestDisownGivesTheDescriptorBack(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	d, err := NewDescriptor(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	d.Disown()
	if _, err := unix.FcntlInt(uintptr(d.wake), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the eventfd is still open: %v", err)
	}
	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			t.Errorf("close %d: %v", fd, err)
		}
	}
}

func TestDescriptorsAreClosedOnExec(t *testing.T) {
	d, _ := pipe(t)
	if flags, err := unix.FcntlInt(uintptr(d.wake), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, error %v", flags, err)
	}
}

func TestWaitAllocatesNothing(t *testing.T) {
	a, end := pipe(t)
	b, _ := pipe(t)
	if _, err := end.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w := NewWaiter(a, b)
	allocs := testing.AllocsPerRun(100, func() {
		if err := w.Wait(looks, short); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func TestRestEndsLikeAWait(t *testing.T) {
	for _, delay := range []time.Duration{0, each / 2, (times + 4) * each} {
		a, end := pipe(t)
		b, _ := pipe(t)
		w, results := NewWaiter(a, b), make(chan error)
		rest := func() { results <- w.Rest(each, times) }
		go rest()
		time.Sleep(delay)
		if _, err := end.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-results; err != nil {
			t.Errorf("after %v: %v", delay, err)
		}
		unix.Read(a.FD(), make([]byte, 8))
		go rest()
		time.Sleep(delay)
		b.Close()
		if err := <-results; err != fs.ErrClosed {
			t.Errorf("closed after %v: %v, want %v", delay, err, fs.ErrClosed)
		}
		if err := w.Rest(each, times); err != fs.ErrClosed {
			t.Errorf("once closed: %v, want %v", err, fs.ErrClosed)
		}
	}
}

func TestSleepTakesItsTime(t *testing.T) {
	const length = 200 * time.Microsecond
	w := NewWaiter()
	slept := false
	allocs := testing.AllocsPerRun(20, func() {
		start := time.Now()
		w.Sleep(length)
		slept = slept || time.Since(start) >= length // a signal may end some
	})
	if allocs != 0 || !slept {
		t.Errorf("%v allocations, want none; slept %v", allocs, slept)
	}
}
