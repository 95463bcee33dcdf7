// SPDX-License-Identifier: Apache-2.0

package gossip

import "fmt"

// ErrorKind says what an [Error] is about.
type ErrorKind int

// The kinds of [Error].
const (
	BadConfig ErrorKind = iota // an address, a port or a seed that cannot be
	PortTaken                  // another program has the gossip port
)

// Error is what a caller can put right.
type Error struct {
	Kind ErrorKind
	text string
}

// Error returns one line that says what to do.
func (e *Error) Error() string { return e.text }

func newError(kind ErrorKind, format string, args ...any) error {
	return &Error{kind, fmt.Sprintf(format, args...)}
}
