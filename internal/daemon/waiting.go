package daemon

import (
	"context"
	"errors"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
	"flanneld/internal/underlaywatch"
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
	room, roomErr := d.openWaitingRoom()
	if roomErr != nil {
		return u, roomErr
	}
	defer room.close()
	started := time.Now()
	for errors.Is(err, underlay.ErrNotYet) {
		d.waitFor(room, err)
		select {
		case <-ctx.Done():
			return u, ctx.Err()
		case <-changes:
			pause(ctx, underlaywatch.AfterChange) // one look at several changes
		case <-time.After(underlaywatch.Again):
		}
		u, err = underlay.Choose(d.underlayOptions())
	}
	if err == nil {
		d.problems.Report(underlaywatch.Part)
		d.log.Info("the underlay is there", "after", time.Since(started).Round(time.Millisecond))
	}
	return u, err
}

// waitFor says what is waited for: to the service manager, in the log, and on
// the control socket.
func (d *daemon) waitFor(room *waitingRoom, reason error) {
	text := "waiting for the underlay: " + oneLine(reason)
	d.notify.send("STATUS=" + text)
	room.say(text)
	d.problems.Report(underlaywatch.Part, problem.Problem{
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
