// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"flanneld/internal/chronicle"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/event"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// events is where the daemon says what has happened. Methods that compare with
// what was before belong to the goroutine of Run.
type events struct {
	log      *event.Log
	last     *peers.Snapshot // nil: none was seen
	pathways chronicle.Paths
	cuts     chronicle.Shortcuts
	finish   func() // writes the last events; may be called again
}

func newEvents(log *slog.Logger) events {
	return events{log: event.New(log), finish: func() {}}
}

// begin reads what earlier starts have kept.
func (e *events) begin(stateDir, version string) {
	e.log.Load(stateDir)
	e.log.Add(control.Event{Kind: control.EventDaemon, What: "started", Text: "flanneld " + version + " is started"})
}

// keep writes what happens to the state directory from now on. It is locked.
func (e *events) keep(stateDir string) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.log.Run(ctx, stateDir)
	}()
	e.finish = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(answerTime): // a disk that hangs does not delay the stop
		}
	}
}

// end adds the daemon's own end, and writes what is left.
func (e *events) end(err error, left bool) {
	stopped := control.Event{Kind: control.EventDaemon, What: "stopped", Text: "flanneld is stopped", Why: "it was asked to"}
	switch {
	case err != nil:
		stopped.Text, stopped.Why = "flanneld has failed", oneLine(err)
	case left:
		stopped.Why = "this node has left the network"
	}
	e.log.Add(stopped)
	e.finish()
}

// list is what the control socket shows.
func (e *events) list(ctx context.Context, after uint64) control.Events {
	return control.Events{Events: e.log.Wait(ctx, after)}
}

func (e *events) add(all []control.Event) {
	for _, one := range all {
		e.log.Add(one)
	}
}

// snapshot adds what has changed since the last one.
func (e *events) snapshot(s *peers.Snapshot) {
	e.add(chronicle.Snapshots(e.last, s))
	e.last = s
}

// paths adds what a plan changes.
func (e *events) paths(p plan.Plan) {
	e.add(e.pathways.Take(p))
	e.add(e.cuts.Peers(p))
}

// shortcut adds whether this host has the short-cut now, where that is news.
func (e *events) shortcut(ready bool, why string) { e.add(e.cuts.Host(ready, why)) }

// problem adds the begin and the end of a problem.
func (e *events) problem(r problem.Reported, began bool) {
	one := control.Event{Kind: control.EventProblem, What: "began", Subject: r.Part, Text: r.Text, Why: r.Advice}
	if !began {
		one.What, one.Text, one.Why = "ended", "over: "+r.Text, ""
	}
	e.log.Add(one)
}

// repaired adds a repair of the guard.
func (d *daemon) repaired(part string, changes []string, by string) {
	one := control.Event{
		Kind: control.EventRepair, What: "restored", Subject: part, Text: fmt.Sprintf("%s restored: %s", part, strings.Join(changes, "; ")),
	}
	if by != "" {
		one.Why = "changed by " + by
	}
	d.events.log.Add(one)
}

func (e *events) moved(from, to underlay.Underlay) {
	e.log.Add(control.Event{
		Kind: control.EventUnderlay, What: "moved", Subject: to.Addr.String(),
		Text: fmt.Sprintf("this node has moved from %s on %s to %s on %s", from.Addr, from.Interface, to.Addr, to.Interface),
		Why:  "the old address is gone, or another was chosen",
	})
}

// roamed adds that the datagrams of a node go elsewhere. It may be called from
// any goroutine.
func (e *events) roamed(r dataplane.Roamed) {
	name := control.NodeName{ID: r.Route.Node.String(), Name: r.Route.Name}
	e.log.Add(control.Event{
		Kind: control.EventMember, What: "roamed", Node: name, Prefix: r.Route.Prefix, Subject: r.To.Addr().String(),
		Text: fmt.Sprintf("the endpoint of %s roamed from %s to %s", name.Text(), r.From, r.To), Why: r.Why,
	})
}

func (e *events) key(what, text, why string) {
	e.log.Add(control.Event{Kind: control.EventKey, What: what, Text: text, Why: why})
}

// dropsEvery is how often the counters of drops are looked at.
const dropsEvery = 5 * time.Second

// followDrops adds beginnings and ends of drops until ctx ends.
func (e *events) followDrops(ctx context.Context, totals *dataplane.Totals) {
	drops := chronicle.NewDrops(dropMeaning())
	tick := time.NewTicker(dropsEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			e.add(drops.Take(now, totals.Sum().Drops))
		case <-ctx.Done():
			return
		}
	}
}
