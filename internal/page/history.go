// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sync"
	"time"

	"flanneld/internal/control"
)

// What is kept of the traffic: the last ten minutes.
const (
	sampleEvery = 5 * time.Second
	maxSamples  = 121
)

// Carried counts overlay packets since the start of the daemon.
type Carried struct {
	Out, In control.Traffic
	Dropped uint64 // packets, for any reason
}

// Sample is what was carried up to a moment.
type Sample struct {
	At      int64  `json:"at"` // milliseconds of Unix time
	Out     uint64 `json:"out"`
	In      uint64 `json:"in"`      // bytes, as Out
	Dropped uint64 `json:"dropped"` // packets
}

// history is a list of samples, the oldest first.
type history struct {
	mu      sync.Mutex
	samples []Sample
}

func (h *history) add(at time.Time, c Carried) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, Sample{
		At: at.UnixMilli(), Out: c.Out.Bytes, In: c.In.Bytes, Dropped: c.Dropped,
	})
	if more := len(h.samples) - maxSamples; more > 0 {
		h.samples = append(h.samples[:0], h.samples[more:]...)
	}
}

func (h *history) all() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Sample{}, h.samples...)
}
