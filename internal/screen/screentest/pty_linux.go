// SPDX-License-Identifier: Apache-2.0

// Package screentest makes terminals for tests.
package screentest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudo terminal. What is drawn on it can be read, and keys can
// be pressed.
type Terminal struct {
	TTY *os.File // the end of the program

	t      *testing.T
	master *os.File
	mu     sync.Mutex
	drawn  bytes.Buffer
}

// Open makes a terminal of some size, until the test ends.
func Open(t *testing.T, width, height int) *Terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Terminal{t: t, master: master}
	n := uint32(0)
	p.control(func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		}
		return err
	})
	p.TTY, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Resize(width, height)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.collect()
	}()
	t.Cleanup(func() {
		_ = master.Close() // then reads at both ends return
		<-ended
		_ = p.TTY.Close()
	})
	return p
}

// control calls do with the master. os.File.Fd would make reads of it block
// beyond Close.
func (p *Terminal) control(do func(fd int) error) {
	p.t.Helper()
	raw, err := p.master.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { failed = do(int(fd)) })
		if failed != nil {
			err = failed
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *Terminal) collect() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.drawn.Write(buf[:n])
		p.mu.Unlock()
	}
}

// Resize changes the size. The program is not told by a signal: the terminal is
// not its controlling one.
func (p *Terminal) Resize(width, height int) {
	p.t.Helper()
	size := &unix.Winsize{Row: uint16(height), Col: uint16(width)}
	p.control(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
}

// Press sends keys.
func (p *Terminal) Press(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// Drawn is all that was drawn so far, with its escape sequences.
func (p *Terminal) Drawn() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drawn.String()
}

// WaitFor waits until the text was drawn after the first n bytes, and returns
// how many bytes were drawn by then.
func (p *Terminal) WaitFor(n int, text string) int {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		drawn := p.Drawn()
		if strings.Contains(drawn[n:], text) {
			return len(drawn)
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%q is not drawn:\n%q", text, drawn[n:])
		}
	}
}

// Raw reports whether the terminal is in raw mode: the kernel echoes no keys.
func (p *Terminal) Raw() bool {
	p.t.Helper()
	var mode *unix.Termios
	p.control(func(fd int) (err error) {
		mode, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	return mode.Lflag&(unix.ECHO|unix.ICANON) == 0
}
