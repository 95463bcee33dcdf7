// SPDX-License-Identifier: Apache-2.0

// Package metrics shows this node to Prometheus.
//
// A scrape reads what status and nodes show at that moment. Nothing is counted
// here, so that packets cost no more than without it. docs/metrics.md lists all
// metrics.
package metrics

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"flanneld/internal/control"
)

// namespace begins the name of every metric of flanneld's own.
const namespace = "flanneld"

// Config is what is shown.
type Config struct {
	// Look returns status and node table of this moment. It may be called
	// concurrently.
	Look func() (control.Status, control.Nodes)
	// Drops are the names of all kinds of drops, as in control.Status.
	Drops []string
	// Parts are the names of all parts that report problems.
	Parts []string
	Log   *slog.Logger
}

// A scrape takes some milliseconds. More than a few at once make no sense.
const maxScrapes = 4

// scrapeTime is how long a scrape may take.
const scrapeTime = 10 * time.Second

// NewRegistry makes a registry of its own, with this node and the process in
// it.
func NewRegistry(c Config) *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(
		&collector{c},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// Handler answers a scrape.
func Handler(c Config) http.Handler {
	return promhttp.HandlerFor(NewRegistry(c), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime,
	})
}

// collector is this node as a prometheus.Collector.
type collector struct{ Config }

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		to <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	status, nodes := c.Look()
	s := sink{to}
	c.collectNode(s, status)
	c.collectLease(s, status)
	c.collectTraffic(s, status)
	c.collectPaths(s, status)
	c.collectShortcut(s, status.Shortcut)
	c.collectHost(s, status)
	c.collectSealing(s, status)
	c.collectPeers(s, nodes)
}
