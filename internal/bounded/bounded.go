// SPDX-License-Identifier: Apache-2.0

// Package bounded keeps the beginning of what is written, so that a program
// that prints without an end fills no memory.
package bounded

// Writer keeps the first bytes that are written to it. The zero value keeps
// none. It is not safe for concurrent use.
type Writer struct {
	// Limit is how many bytes are kept, at least 0. It must not change once
	// something is written.
	Limit int

	kept []byte
	full bool
}

// Write takes all of b, and never fails: a program that prints too much ends by
// itself.
func (w *Writer) Write(b []byte) (int, error) {
	room := w.Limit - len(w.kept)
	if len(b) > room {
		w.full = true
	}
	w.kept = append(w.kept, b[:min(len(b), room)]...)
	return len(b), nil
}

// Bytes are the bytes that are kept. They belong to the writer until nothing is
// written to it any more.
func (w *Writer) Bytes() []byte { return w.kept }

// Full reports whether more than the limit was written.
func (w *Writer) Full() bool { return w.full }
