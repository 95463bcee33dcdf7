// SPDX-License-Identifier: Apache-2.0

// Package screen draws whole frames on a terminal and reads keys from it.
package screen

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// Escape sequences that terminals have understood since the VT100 and xterm.
const (
	enter = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leave = "\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	clear = "\x1b[K" // to the end of the line
	below = "\x1b[J" // and all lines below
)

// Keys that are not letters.
const (
	Interrupt = 3 // Ctrl-C
	Up        = -1
	Down      = -2
	PageUp    = -3
	PageDown  = -4
)

// Screen is a terminal in raw mode, on its other screen. It belongs to one
// goroutine.
type Screen struct {
	in, out *os.File
	before  *term.State
	keys    chan int
	resized chan os.Signal
	closed  chan struct{}
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Open takes a terminal over, until Close.
func Open(in, out *os.File) (*Screen, error) {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("set up the terminal: %w", err)
	}
	s := &Screen{in: in, out: out, before: before, keys: make(chan int), resized: make(chan os.Signal, 1), closed: make(chan struct{})}
	signal.Notify(s.resized, syscall.SIGWINCH)
	go s.read()
	_, err = out.WriteString(enter)
	return s, err
}

// Close gives the terminal back as it was.
func (s *Screen) Close() error {
	signal.Stop(s.resized)
	close(s.closed)
	_, err := s.out.WriteString(leave)
	if restoreErr := term.Restore(int(s.in.Fd()), s.before); err == nil {
		err = restoreErr
	}
	return err
}

// Keys is where keys arrive: letters as they are, others as named above. It is
// closed when the terminal is gone.
func (s *Screen) Keys() <-chan int { return s.keys }

// Resized is ready when the size has changed.
func (s *Screen) Resized() <-chan os.Signal { return s.resized }

// Size is how many columns and lines there are. A terminal that does not know
// has 80 and 24.
func (s *Screen) Size() (width, height int) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// Draw replaces what is shown. Lines beyond the size must not be given.
func (s *Screen) Draw(lines []string) error {
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		b.WriteString(line)
		b.WriteString(clear)
		if i < len(lines)-1 {
			b.WriteString("\r\n") // one after the last line would scroll
		}
	}
	b.WriteString(below)
	_, err := s.out.WriteString(b.String())
	return err
}

// read reads keys until the terminal is gone, or a key comes after Close.
func (s *Screen) read() {
	defer close(s.keys)
	buf := make([]byte, 32)
	for {
		n, err := s.in.Read(buf)
		if err != nil {
			return
		}
		for _, key := range Parse(buf[:n]) {
			select {
			case s.keys <- key:
			case <-s.closed:
				return
			}
		}
	}
}

// sequences are what terminals send for keys that are no letters.
var sequences = map[string]int{
	"\x1b[A": Up, "\x1bOA": Up, "\x1b[B": Down, "\x1bOB": Down, "\x1b[5~": PageUp, "\x1b[6~": PageDown,
}

// Parse finds the keys in what was read from a terminal. What it does not know
// is left out.
func Parse(input []byte) (keys []int) {
	for text := string(input); text != ""; {
		known := false
		for sequence, key := range sequences {
			if rest, ok := strings.CutPrefix(text, sequence); ok {
				keys, text, known = append(keys, key), rest, true
				break
			}
		}
		switch {
		case known:
		case text[0] == 0x1b: // of some other key
			return keys
		default:
			if text[0] == Interrupt || text[0] >= ' ' && text[0] < 0x7f {
				keys = append(keys, int(text[0]))
			}
			text = text[1:]
		}
	}
	return keys
}
