// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"

	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/metrics"
	"flanneld/internal/problem"
	"flanneld/internal/web"
	"flanneld/route"
)

// A face is what is shown of this node over HTTP; *view.View is one, and
// *view.Waiting.
type face interface {
	Ready() control.Readiness
	StatusAndNodes() (control.Status, control.Nodes)
}

// shown is what the web server asks now.
type shown struct {
	face
	// answers returns once the goroutine that decides about leases has
	// answered. Nil: there is none yet.
	answers func(context.Context) error
}

// show changes what the web server shows.
func (d *daemon) show(f face, answers func(context.Context) error) {
	d.shown.Store(&shown{f, answers})
}

// beginWeb opens the port of --metrics, if it is not open yet. Health is
// answered from then on.
func (d *daemon) beginWeb() (err error) {
	if d.web != nil || !d.cfg.Metrics.IsValid() {
		return nil
	}
	if d.shown.Load() == nil {
		d.show(d.newWaiting(), nil)
	}
	d.web, err = web.Listen(web.Config{
		Address: d.cfg.Metrics, Health: d.silent, Ready: func() control.Readiness { return d.shown.Load().Ready() },
		Metrics: metrics.Handler(metrics.Config{
			Look:  func() (control.Status, control.Nodes) { return d.shown.Load().StatusAndNodes() },
			Drops: dropKinds(), Parts: problem.Parts(), Log: d.log,
		}),
		Log: d.log,
	})
	if err != nil {
		return fmt.Errorf("--metrics %s: %w", d.cfg.Metrics, err)
	}
	if d.cfg.MetricsExposed() {
		d.log.Warn("metrics and health are served to every host that reaches this address; they name the network's hosts", "address", d.web.Address())
	} else {
		d.log.Info("metrics and health are served", "address", d.web.Address())
	}
	return nil
}

// dropKinds names every kind of drop, as status does.
func dropKinds() (kinds []string) {
	egress, ingress := route.Reasons()
	for _, r := range egress {
		kinds = append(kinds, dataplane.DropKind("egress", r))
	}
	for _, r := range ingress {
		kinds = append(kinds, dataplane.DropKind("ingress", r))
	}
	return kinds
}

// endWeb closes the port. Requests under way are answered until ctx ends. It
// may be called again.
func (d *daemon) endWeb(ctx context.Context) {
	if d.web != nil {
		_ = d.web.Shutdown(ctx) // a caller may not read its answer
	}
	d.web = nil
}

// silent names the loops that do not answer before ctx ends.
func (d *daemon) silent(ctx context.Context) (names []string) {
	answered := make(chan error, 1)
	if now := d.shown.Load(); now.answers != nil {
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
	return names
}
