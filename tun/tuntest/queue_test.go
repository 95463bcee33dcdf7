// SPDX-License-Identifier: Apache-2.0

package tuntest

import (
	"errors"
	"io/fs"
	"testing"

	"flanneld/tun"
)

func TestWhatIsFedIsRead(t *testing.T) {
	q := NewQueue()
	q.Feed([]byte("one"), []byte("two"), []byte("longer than a slot"))
	b := tun.NewBatch(2, 6, 64<<10)
	if n, err := q.Read(b); n != 2 || err != nil || string(b.Packets[1].Data) != "two" {
		t.Errorf("Read = %d, %v, second %q", n, err, b.Packets[1].Data)
	}
	if n, err := q.Read(b); n != 1 || err != nil || string(b.Packets[0].Data) != "longer" {
		t.Errorf("Read = %d, %v, first %q; want it cut", n, err, b.Packets[0].Data)
	}
}

func TestWhatIsWrittenIsKept(t *testing.T) {
	q := NewQueue()
	packet := []byte("one")
	if err := q.Write(packet); err != nil {
		t.Fatal(err)
	}
	packet[0] = 'x' // it is the writer's again
	if got := q.Written(1); len(got) != 1 || string(got[0]) != "one" {
		t.Errorf("written %q", got)
	}
}

func TestFailComesAfterWhatWasFed(t *testing.T) {
	q := NewQueue()
	failure := errors.New("gone")
	q.Feed([]byte("one"))
	q.Fail(failure)
	b := tun.NewBatch(2, 100, 64<<10)
	if n, err := q.Read(b); n != 1 || err != nil {
		t.Errorf("Read = %d, %v; want the packet first", n, err)
	}
	if _, err := q.Read(b); err != failure {
		t.Errorf("Read: %v, want %v", err, failure)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	q := NewQueue()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if _, err := q.Read(tun.NewBatch(1, 100, 64<<10)); err != fs.ErrClosed {
		t.Errorf("Read: %v", err)
	}
	if err := q.Write([]byte("x")); err != fs.ErrClosed {
		t.Errorf("Write: %v", err)
	}
	if got := q.Written(1); len(got) != 0 {
		t.Errorf("written %q", got)
	}
	if err := q.Close(); err != fs.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
}
