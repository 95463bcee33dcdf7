// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
	"flanneld/internal/underlaywatch"
	"flanneld/internal/view"
)

// awaitUnderlay finds the underlay. What time may mend is waited for as long as
// it takes: at boot, addresses and routes come when the network's own programs
// are done. The error is the ctx's when that ends before.
func (d *daemon) awaitUnderlay(ctx context.Context) (underlay.Underlay, error) {
	u, err := underlay.Choose(d.underlayOptions())
	if !errors.Is(err, underlay.ErrNotYet) {
		return u, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, watchErr := underlay.Watch(ctx) // nil on error: never ready
	if watchErr != nil {
		d.log.Debug("the underlay is looked for every second only", "error", watchErr)
	}
	waiting := d.newWaiting()
	d.show(shown{face: waiting})
	server, listenErr := control.Listen(d.cfg.SocketPath(), waiting, d.log)
	if listenErr != nil {
		return u, listenErr
	}
	defer serveFor(server)()
	started := time.Now()
	for errors.Is(err, underlay.ErrNotYet) {
		d.waitFor(waiting, err)
		if err := d.awaitChange(ctx, changes); err != nil {
			return u, err
		}
		u, err = underlay.Choose(d.underlayOptions())
	}
	if err == nil {
		d.problems.Report(problem.PartUnderlay)
		d.log.Info("the underlay is there", "after", time.Since(started).Round(time.Millisecond))
	}
	return u, err
}

// awaitChange waits until the underlay may be there. The error is the ctx's
// when that ends before.
func (d *daemon) awaitChange(ctx context.Context, changes <-chan struct{}) error {
	again := time.After(underlaywatch.Again)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changes:
			pause(ctx, underlaywatch.AfterChange) // one look at several changes
			return nil
		case <-again:
			return nil
		case <-d.pulse:
		}
	}
}

// newWaiting makes what is shown while there is no node yet.
func (d *daemon) newWaiting() *view.Waiting {
	return view.NewWaiting(d.cfg, nodeName(d.cfg.NodeName), d.version, d.started, d.problems, d.events.list)
}

// serveFor serves the control socket until the function that it returns is
// called. That gives the socket back; requests under way are answered.
func serveFor(server *control.Server) (end func()) {
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		_ = server.Shutdown(ctx) // a caller may not read its answer
		<-served
	}
}

// waitFor says what is waited for: to the service manager, in the log, and on
// the control socket.
func (d *daemon) waitFor(waiting *view.Waiting, reason error) {
	text := "waiting for the underlay: " + oneLine(reason)
	d.notify.send("STATUS=" + text)
	waiting.For(text)
	d.problems.Report(problem.PartUnderlay, problem.Problem{
		Text:   "the underlay is not there yet: " + oneLine(reason),
		Advice: "bring up the interface, its address and a route, or name another with --iface",
	})
}

func oneLine(err error) string { return problem.OneLine(err.Error()) }

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
