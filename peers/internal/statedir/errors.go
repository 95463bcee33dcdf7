// SPDX-License-Identifier: Apache-2.0

package statedir

import "fmt"

// Kind says in what way a state directory or a key file cannot be used.
type Kind int

// The kinds of [Error].
const (
	Unusable Kind = iota // the system does not let us read or write it
	Locked               // another process has the directory
	Corrupt              // a file has the wrong content, or is missing
	Newer                // a later version has written a file
	BadKey               // the key file holds no key, or is not for us alone
)

// Error is what this package returns where a file or the directory is at fault.
type Error struct {
	Kind Kind
	File string // path of the file, the directory or the key file
	text string
}

// Error returns one line that names the file and says what to do.
func (e *Error) Error() string { return e.text }

func failure(kind Kind, file, format string, args ...any) error {
	return &Error{kind, file, fmt.Sprintf(format, args...)}
}
