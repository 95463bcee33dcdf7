// SPDX-License-Identifier: Apache-2.0

package event

import (
	"net/netip"

	"flanneld/internal/control"
	"flanneld/internal/problem"
)

var zeroPrefix netip.Prefix

// Bounds of an event's words, in bytes. Text and Why have those of a problem.
const (
	maxWord = 40
	maxName = 253 // as records of nodes have it
)

// clean makes each text of an event one line of bounded length: some of it came
// from other nodes, or from a file.
func clean(e *control.Event) {
	e.Text, e.Why = problem.OneLine(e.Text), problem.OneLine(e.Why)
	for _, word := range []*string{&e.Kind, &e.What, &e.Path} {
		*word = cut(*word, maxWord)
	}
	for _, name := range []*string{&e.Subject, &e.Node.ID, &e.Node.Name} {
		*name = cut(*name, maxName)
	}
}

func cut(text string, most int) string {
	text = problem.OneLine(text)
	if len(text) > most {
		text = problem.OneLine(text[:most]) // half a letter becomes a blank
	}
	return text
}
