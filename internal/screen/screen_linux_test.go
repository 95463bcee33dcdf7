// SPDX-License-Identifier: Apache-2.0

package screen

import (
	"os"
	"slices"
	"testing"

	"flanneld/internal/screen/screentest"
)

func TestAScreenDrawsFramesReadsKeysAndGivesTheTerminalBack(t *testing.T) {
	p := screentest.Open(t, 100, 30)
	if !IsTerminal(p.TTY) || p.Raw() {
		t.Fatal("no terminal in its usual mode")
	}
	s, err := Open(p.TTY, p.TTY)
	if err != nil {
		t.Fatal(err)
	}
	if w, h := s.Size(); w != 100 || h != 30 {
		t.Errorf("size %d x %d", w, h)
	}
	p.Resize(70, 10)
	if w, h := s.Size(); w != 70 || h != 10 {
		t.Errorf("size %d x %d after a change", w, h)
	}
	if !p.Raw() {
		t.Error("keys wait for the end of a line")
	}
	if err := s.Draw([]string{"one", "two"}); err != nil {
		t.Fatal(err)
	}
	n := p.WaitFor(0, enter+home+"one"+clear+"\r\ntwo"+clear+below)
	p.Press("q\x1b[A\x03")
	for _, want := range []int{'q', Up, Interrupt} {
		if got := <-s.Keys(); got != want {
			t.Errorf("key %d, want %d", got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	p.WaitFor(n, leave)
	if p.Raw() {
		t.Error("the terminal is not as it was")
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) {
		t.Error("/dev/null is one")
	}
	if _, err := Open(f, f); err == nil {
		t.Error("it is taken over")
	}
}

func TestKeysAreFoundInWhatATerminalSends(t *testing.T) {
	for input, want := range map[string][]int{
		"":                     nil,
		"tl":                   {'t', 'l'},
		"\x1b[B\x1b[5~\x1b[6~": {Down, PageUp, PageDown},
		"\x1bOA\x1bOB":         {Up, Down},
		"q\x1b[200~rest":       {'q'}, // some other key
		"\x1b":                 nil,
		"\x00\x03\xff\x7fn":    {Interrupt, 'n'},
	} {
		if got := Parse([]byte(input)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", input, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"q", "\x1b[A", "\x1b[", "\x1b[5~\x1b[6", "\x03\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, key := range Parse(input) {
			if key != Interrupt && (key < PageDown || key > Up) && (key < ' ' || key >= 0x7f) {
				t.Errorf("%q: key %d", input, key)
			}
		}
	})
}
