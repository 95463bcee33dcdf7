// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// fake is a daemon that answers what a test tells it to.
type fake struct {
	mu      sync.Mutex
	joined  []string
	refuse  error
	started chan struct{} // closed when Leave has begun, if not nil
	finish  chan struct{} // Leave waits for it, if not nil
}

func (f *fake) Status() Status {
	return Status{Version: "1.2.3", PID: 7, Drops: map[string]uint64{"no-route": 3}}
}
func (f *fake) Nodes() Nodes {
	return Nodes{Nodes: []Node{{ID: "abc", Name: "alpha", State: "alive", Subnet: netip.MustParsePrefix("10.244.7.0/24")}}}
}
func (f *fake) Route(a netip.Addr) Route { return Route{Address: a, Kind: RouteNone} }

func (f *fake) CheckAddress(address string) error { return noBlanks(address) }

func (f *fake) Join(_ context.Context, addresses []string) (Joined, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined = append(f.joined, addresses...)
	return Joined{Joined: addresses}, f.refuse
}

func (f *fake) Leave(ctx context.Context) (Left, error) {
	if f.started != nil {
		close(f.started)
	}
	if f.finish != nil {
		select {
		case <-f.finish:
		case <-ctx.Done():
			return Left{}, ctx.Err()
		}
	}
	return Left{Subnet: netip.MustParsePrefix("10.244.7.0/24")}, f.refuse
}

func (f *fake) Forget(_ context.Context, node string) (Node, error) {
	return Node{Name: node}, f.refuse
}

func (f *fake) Ping(_ context.Context, node, path string, count, size int) (Pinged, error) {
	return Pinged{Node: NodeName{Name: node}, Paths: []PingedPath{{Path: path, Sent: count, Largest: size}}}, f.refuse
}

func (f *fake) Trace(_ context.Context, r TraceRequest) (Traced, error) {
	return Traced{Address: r.Address, Bridge: r.Bridge}, f.refuse
}

func (f *fake) Events(ctx context.Context, after uint64) Events {
	if after >= 7 {
		<-ctx.Done()
		return Events{Events: []Event{}}
	}
	return Events{Events: []Event{{ID: 7, Seq: 7, Count: 1, Kind: EventMember, What: "up", Text: "beta is up"}}}
}

func (f *fake) Shortcut(_ context.Context, on bool) (Shortcut, error) {
	return Shortcut{Setting: map[bool]string{true: ShortcutAuto, false: ShortcutOff}[on]}, f.refuse
}

func (f *fake) Examine(context.Context) (Examined, error) {
	return Examined{Nodes: []ExaminedNode{{NodeName: NodeName{Name: "beta"}, ClockAhead: -1.5}}, Of: 70}, f.refuse
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// serve runs a server over a socket of its own until the test ends.
func serve(t *testing.T, d Daemon) (path string, s *Server) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "flanneld.sock")
	s, err := Listen(path, d, discard())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return path, s
}
