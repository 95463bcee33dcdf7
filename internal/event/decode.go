// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"flanneld/internal/control"
)

const (
	// maxLine is how long a line of the file can be, in bytes: eight times what
	// clean leaves, which JSON can make longer.
	maxLine = 16 << 10
	// maxFile is how much of a file is read, in bytes.
	maxFile = 4 << 20
	// maxCount bounds what a repeat adds up to.
	maxCount = 1 << 30
)

// decode reads the lines of a file: one event each, a later one of the same ID
// in place of an earlier one. A line that is torn or makes no sense is passed
// over, and damaged reports it. The events ascend by Seq, and are at most
// Limit.
func decode(content []byte) (events []control.Event, damaged bool) {
	byID := map[uint64]control.Event{}
	for len(content) > 0 {
		line, rest, whole := bytes.Cut(content, []byte("\n"))
		content = rest
		e, ok := decodeLine(line)
		if !ok || !whole {
			damaged = true
			continue
		}
		if e.Seq >= byID[e.ID].Seq {
			byID[e.ID] = e
		}
	}
	seen := map[uint64]bool{}
	for _, e := range byID {
		if seen[e.Seq] {
			damaged = true
			continue
		}
		seen[e.Seq] = true
		events = append(events, e)
	}
	slices.SortFunc(events, func(a, b control.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return events[max(0, len(events)-Limit):], damaged
}

func decodeLine(line []byte) (e control.Event, ok bool) {
	if len(line) > maxLine || json.Unmarshal(line, &e) != nil {
		return e, false
	}
	clean(&e)
	sane := e.ID > 0 && e.Seq >= e.ID && e.Seq < 1<<62 && e.Count > 0 && e.Count < maxCount && e.Kind != "" && !e.Time.IsZero()
	return e, sane
}

func encode(events []control.Event) ([]byte, error) {
	var out bytes.Buffer
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}
