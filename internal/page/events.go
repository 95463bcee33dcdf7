// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// What viewers may take. A viewer holds one of the web server's connections.
const (
	maxViewers = 8
	lookEvery  = time.Second // whether there is something new
	writeTime  = 15 * time.Second
	retryTime  = 3 * time.Second
)

// events sends what is to be seen, until the viewer goes or the page is closed.
// At the beginning that is all there is, then what is new.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d pages are open already: close one", maxViewers), http.StatusServiceUnavailable)
		return
	}
	defer p.leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	stream := http.NewResponseController(w)
	_ = stream.SetReadDeadline(time.Time{}) // the server's is for requests; a viewer sends no more
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	v := viewer{next: fmt.Appendf(nil, "retry: %d\n\n", retryTime.Milliseconds())}
	for {
		v.look(p)
		_ = stream.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := w.Write(v.next); err != nil || stream.Flush() != nil {
			return // it went away
		}
		v.next = v.next[:0]
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-p.ended:
			return
		}
	}
}

// viewer is how far one viewer is.
type viewer struct {
	state  int    // number of the last state
	report uint64 // number of the last report
	next   []byte // what is to be sent
}

// look adds what is new.
func (v *viewer) look(p *Page) {
	if v.state == 0 {
		v.next = append(v.next, encode("meanings", meanings)...)
	}
	now := p.state.get()
	if now.number != v.state {
		v.state, v.next = now.number, append(v.next, now.event...)
	}
	for id, asked := range p.collector.Since(v.report) {
		v.report = max(v.report, asked.Number)
		v.next = append(v.next, encode("report", answerOf(id, asked, now))...)
	}
}

// encode encodes one event.
func encode(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("page: encode %s: %v", name, err)) // of our own types
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, data)
	return b.Bytes()
}
