// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"strings"
)

// Program is the [TB] of a program that is no test, such as the
// demonstration. What is logged is kept, and shown only after a failure.
type Program struct {
	name     string
	failed   bool
	log      []string
	cleanups []func()
}

// failure is what Fatalf panics with; [Run] and [Program.Try] catch it.
type failure struct{ text string }

// Run runs a program in the lab, cleans up after it and returns the exit
// status.
func Run(name string, main func(*Program)) int {
	p := &Program{name: name}
	defer p.cleanUp()
	if err := p.Try(func() { main(p) }); err != nil {
		p.failed = true
		p.cleanUp() // which adds the daemons' logs
		for _, line := range p.log {
			fmt.Fprintln(os.Stderr, line)
		}
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Try runs a part that may fail without ending the program. It returns the
// failure as an error.
func (p *Program) Try(part func()) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			f, ok := caught.(failure)
			if !ok {
				panic(caught)
			}
			err = fmt.Errorf("%s", f.text)
		}
	}()
	part()
	return nil
}

func (p *Program) cleanUp() {
	for len(p.cleanups) > 0 {
		last := len(p.cleanups) - 1
		f := p.cleanups[last]
		p.cleanups = p.cleanups[:last]
		f()
	}
}

// Helper does nothing; it is there for [TB].
func (p *Program) Helper() {}

// Name is the program's name.
func (p *Program) Name() string { return p.name }

// Logf keeps a line for the case of a failure.
func (p *Program) Logf(format string, args ...any) {
	p.log = append(p.log, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// Fatalf ends the program, or the [Program.Try] it is in.
func (p *Program) Fatalf(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// Failed reports whether the program has failed.
func (p *Program) Failed() bool { return p.failed }

// Cleanup adds something to do at the end, the last first.
func (p *Program) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

// IsTerminal reports whether a line can be written over.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
