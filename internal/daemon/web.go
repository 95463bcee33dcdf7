// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/metrics"
	"flanneld/internal/page"
	"flanneld/internal/problem"
	"flanneld/internal/report"
	"flanneld/internal/web"
)

// A face is what is shown of this node over HTTP; *view.View is one, and
// *view.Waiting.
type face interface {
	Ready() control.Readiness
	StatusAndNodes() (control.Status, control.Nodes)
	Carried() (out, in control.Traffic, dropped uint64)
}

// shown is what the web server asks now.
type shown struct {
	face
	// answers returns once the goroutine that decides about leases has
	// answered. Nil: there is none yet.
	answers func(context.Context) error
	// hanging names the parts of the host that a loop has been busy with for
	// longer than a limit. Nil: there are no loops yet.
	hanging func(limit time.Duration) []string
}

// show changes what the web server shows.
func (d *daemon) show(s shown) { d.shown.Store(&s) }

// hangTime is how long a loop of the guard may take for one round.
const hangTime = 2 * time.Minute

// beginWeb opens the port of --metrics, if it is not open yet. Health is
// answered from then on.
func (d *daemon) beginWeb() (err error) {
	if d.web != nil || !d.cfg.Metrics.IsValid() {
		return nil
	}
	if d.shown.Load() == nil {
		d.show(shown{face: d.newWaiting()})
	}
	d.page = page.New(page.Config{Look: d.look, Carried: d.carried, Events: d.happened, Ask: d.askReport})
	d.web, err = web.Listen(web.Config{
		Address: d.cfg.Metrics, Page: d.page, Names: d.hostNames(), Health: d.silent, Ready: func() control.Readiness { return d.shown.Load().Ready() },
		Metrics: metrics.Handler(metrics.Config{
			Look: d.look, Drops: dropKinds(), Parts: problem.Parts(), Log: d.log,
		}),
		Log: d.log,
	})
	if err != nil {
		d.page.Close()
		return fmt.Errorf("--metrics %s: %w", d.cfg.Metrics, err)
	}
	url := "http://" + d.web.Address().String() + "/"
	if d.cfg.MetricsExposed() {
		d.log.Warn("the page, metrics and health are served to every host that reaches this address; they name the network's hosts", "page", url)
	} else {
		d.log.Info("the page, metrics and health are served", "page", url)
	}
	return nil
}

// look is status and node table of this moment.
func (d *daemon) look() (control.Status, control.Nodes) { return d.shown.Load().StatusAndNodes() }

// carried is what the page draws.
func (d *daemon) carried() (c page.Carried) {
	c.Out, c.In, c.Dropped = d.shown.Load().Carried()
	return c
}

// happened are the events that there are.
func (d *daemon) happened() []control.Event { return d.events.log.After(0) }

// hostNames are names under which a browser may ask for the page.
func (d *daemon) hostNames() []string {
	names := []string{nodeName(d.cfg.NodeName)}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	return names
}

// askReport asks another node how it is.
func (d *daemon) askReport(ctx context.Context, id string) ([]byte, error) {
	if d.shown.Load().answers == nil {
		return nil, errors.New("this node is not up yet")
	}
	for _, n := range d.node.Snapshot().Nodes {
		if n.ID.String() == id {
			return d.node.Report(ctx, n.ID)
		}
	}
	return nil, errors.New("it is not known any more")
}

// report is what this node tells other nodes of itself.
func (d *daemon) report() []byte {
	return report.Of(d.look()).Encode()
}

// endWeb closes the port. Requests under way are answered until ctx ends. It
// may be called again.
func (d *daemon) endWeb(ctx context.Context) {
	if d.page != nil {
		d.page.Close()
	}
	if d.web != nil {
		_ = d.web.Shutdown(ctx) // a caller may not read its answer
	}
	d.web = nil
}

// silent names the loops that do not answer before ctx ends.
func (d *daemon) silent(ctx context.Context) (names []string) {
	answered := make(chan error, 1)
	now := d.shown.Load()
	if now.answers != nil {
		go func() { answered <- now.answers(ctx) }()
	} else {
		answered <- nil
	}
	select {
	case d.pulse <- struct{}{}:
	case <-ctx.Done():
		names = append(names, "the daemon's main loop does not answer")
	}
	if err := <-answered; err != nil {
		names = append(names, "the loop of gossip and leases does not answer: "+oneLine(err))
	}
	if now.hanging != nil {
		for _, part := range now.hanging(hangTime) {
			names = append(names, fmt.Sprintf("the loop that keeps the part %q of this host has been in one round for %v", part, hangTime))
		}
	}
	return names
}
