// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// watchTime is how long packets are watched for: a trace takes up to eight
	// seconds.
	watchTime = 12 * time.Second
	// maxWatches is how many traces are watched at a time.
	maxWatches = 16
)

// Devices are where a node watches for packets of a trace.
type Devices struct {
	// Outer lead to other hosts: the overlay device first, and those of kernel
	// paths. Of the latter, what cannot be watched is left out.
	Outer  []string
	Bridge string // where the destination is; "": none has its subnet
	// Ports are those of Bridge: with the short-cut, packets go past a bridge.
	// What cannot be watched is left out.
	Ports []string
}

// Echoes are the packets of a trace that pass a device; see package
// packetsocket.
type Echoes interface {
	// Next waits for a packet. It is a request or else an answer, and is sent
	// by the device or else received.
	Next() (request, sent bool, err error)
	io.Closer // ends a Next
}

// Watcher watches for the packets of other nodes' traces. It is safe for
// concurrent use. Its zero value with Open is ready.
type Watcher struct {
	// Open begins to watch a device.
	Open func(device string, q Question) (Echoes, error)

	mu   sync.Mutex
	open []*watch
}

// watch is of one trace.
type watch struct {
	question Question
	opened   []Echoes
	readers  sync.WaitGroup

	mu   sync.Mutex
	seen Sight
}

var errWatches = errors.New("too many traces are watched")

// Answer begins to watch for the packets of a question, unless it does already,
// and returns what was seen so far. It calls at only if it begins. A watch ends
// by itself.
func (w *Watcher) Answer(q Question, at func() Devices) (Sight, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.open, func(one *watch) bool { return one.question == q })
	if i < 0 {
		if len(w.open) >= maxWatches {
			return Sight{}, errWatches
		}
		one, err := w.begin(q, at())
		if err != nil {
			return Sight{}, err
		}
		w.open = append(w.open, one)
		time.AfterFunc(watchTime, func() { w.end(one) })
		i = len(w.open) - 1
	}
	one := w.open[i]
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.seen, nil
}

// begin opens the devices.
func (w *Watcher) begin(q Question, at Devices) (*watch, error) {
	one := &watch{question: q, seen: Sight{Bridge: at.Bridge}}
	for i, device := range at.Outer {
		if err := w.add(one, device, true); err != nil && i == 0 {
			one.close()
			return nil, err
		}
	}
	if err := w.add(one, at.Bridge, false); err != nil {
		one.close()
		return nil, err
	}
	for _, port := range at.Ports {
		_ = w.add(one, port, false)
	}
	return one, nil
}

// add watches a device too; "" is none.
func (w *Watcher) add(one *watch, device string, outer bool) error {
	if device == "" {
		return nil
	}
	e, err := w.Open(device, one.question)
	if err != nil {
		return err
	}
	one.opened = append(one.opened, e)
	one.readers.Go(func() { one.read(e, outer) })
	return nil
}

// end ends a watch. It may be called again.
func (w *Watcher) end(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = slices.DeleteFunc(w.open, func(other *watch) bool { return other == one })
	one.close()
}

// Close ends all watches.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.open {
		one.close()
	}
	w.open = nil
}

// close ends the readers, and waits for them.
func (one *watch) close() {
	for _, e := range one.opened {
		_ = e.Close()
	}
	one.readers.Wait()
	one.opened = nil
}

// read notes what passes a device until it is closed.
func (one *watch) read(e Echoes, outer bool) {
	for {
		request, sent, err := e.Next()
		if err != nil {
			return
		}
		one.mu.Lock()
		switch {
		case outer && request && !sent:
			one.seen.Came = true
		case outer && !request && sent:
			one.seen.Returned = true
		case !outer && request && sent:
			one.seen.Left = true
		case !outer && !request && !sent:
			one.seen.Answered = true
		}
		one.mu.Unlock()
	}
}
