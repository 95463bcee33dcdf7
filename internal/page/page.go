// SPDX-License-Identifier: Apache-2.0

// Package page shows the network in a browser: what this node sees, and what
// the other nodes report of themselves.
//
// The page is a few files in this package, so that it needs nothing from
// elsewhere. It gets its data in server-sent events (WHATWG HTML, section 9.2).
// The other nodes are asked only while a browser listens.
package page

import (
	"context"
	"net/http"
	"sync"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/report"
)

// Config is what a Page shows. The functions may be called concurrently.
type Config struct {
	// Look returns status and node table of this moment.
	Look func() (control.Status, control.Nodes)
	// Carried returns what status says of traffic and drops. It is called
	// every few seconds, and has to cost little.
	Carried func() Carried
	// Events returns what has happened, the newest last.
	Events func() []control.Event
	// Ask returns the encoded report of another node.
	Ask func(ctx context.Context, id string) ([]byte, error)
}

// Page is an http.Handler.
type Page struct {
	cfg       Config
	mux       *http.ServeMux
	collector report.Collector
	history   history
	state     state
	ended     chan struct{} // closed by Close
	close     func()
	running   sync.WaitGroup

	mu         sync.Mutex
	viewers    int
	endCollect context.CancelFunc // of the collector, while there are viewers
}

// New makes a page. It collects the traffic of the last minutes from then on,
// until Close.
func New(c Config) *Page {
	p := &Page{cfg: c, mux: http.NewServeMux(), ended: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.ended) })
	p.collector = report.Collector{Nodes: p.others, Ask: c.Ask}
	p.state.look, p.state.events, p.state.history = c.Look, c.Events, &p.history
	p.mux.HandleFunc("GET /{$}", index)
	p.mux.HandleFunc("GET /page/{file}", file)
	p.mux.HandleFunc("GET /page/events", p.events)
	p.running.Go(p.sample)
	return p
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	p.mux.ServeHTTP(w, r)
}

// headers make a browser load nothing from elsewhere, run nothing that is not
// one of the files, and show the page in no frame of another page.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Frame-Options":              "DENY",
}

// Close ends the events under way, and returns when nothing of the page runs
// any more. It may be called again.
func (p *Page) Close() {
	p.close()
	p.running.Wait()
}

// sample notes the traffic from time to time.
func (p *Page) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		p.history.add(time.Now(), p.cfg.Carried())
		select {
		case <-tick.C:
		case <-p.ended:
			return
		}
	}
}

// others lists the nodes to ask.
func (p *Page) others() []string { return p.state.get().others }

// enter counts a viewer in, if there is room for another one.
func (p *Page) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers == maxViewers {
		return false
	}
	if p.viewers++; p.viewers == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		p.endCollect = cancel
		p.running.Go(func() { p.collector.Run(ctx) })
	}
	return true
}

// leave counts a viewer out. The other nodes are asked no more when the last
// one has gone.
func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.viewers--; p.viewers == 0 {
		p.endCollect()
	}
}
