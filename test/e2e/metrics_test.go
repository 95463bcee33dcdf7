// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"flanneld/test/lab"
)

// says waits until an HTTP server of a host answers with the status and all the
// words.
func says(t *testing.T, h *lab.Host, at netip.AddrPort, path string, status int, words ...string) {
	t.Helper()
	lab.Eventually(t, ready, h.NodeName+" "+path, func() error {
		got, body, err := h.Get(at, path)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(body, word) {
				return lab.Expect(false, "%d %q has no %q", got, body, word)
			}
		}
		return lab.Expect(got == status, "%d %q", got, body)
	})
}

// A daemon is healthy from its start on. It is ready when packets pass, and
// says what is missing until then, and when they pass no more.
func TestHealthAndReadinessAreServed(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	open := at(h1.Addr, lab.MetricsPort)
	h2.Start("--metrics", lab.Loopback.String(), "--join", h1.Addr.String())
	says(t, h2, lab.Loopback, "/healthz", http.StatusOK, "ok")
	says(t, h2, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no lease yet: ", "device flannel0 is absent", "subnet.env")

	h1.Start("--metrics", open.String()).WaitReady(ready)
	h2.Daemon.WaitReady(ready)
	says(t, h2, lab.Loopback, "/readyz", http.StatusOK, "ok")
	says(t, h2, open, "/readyz", http.StatusOK, "ok") // h1's
	for h, address := range map[*lab.Host]netip.AddrPort{h1: open, h2: lab.Loopback} {
		if s := h.Status(); s.Metrics.Address != address.String() || s.Metrics.Exposed != (h == h1) || !s.Readiness.Ready {
			t.Errorf("%s: %+v, %+v", h.NodeName, s.Metrics, s.Readiness)
		}
		mentions(t, "the log", h.Daemon.Log(), "metrics and health are served", address.String())
	}
	mentions(t, "the log", h1.Daemon.Log(), "every host that reaches this address")
	mentions(t, "status", h1.Flanneld("status").Stdout, open.String()+", for every host that reaches it")

	l.Block(lab.Between([]*lab.Host{h1}, []*lab.Host{h2})...)
	says(t, h2, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no data path to another node is proven: ")
	says(t, h2, lab.Loopback, "/healthz", http.StatusOK)
	l.Mend()
	says(t, h2, lab.Loopback, "/readyz", http.StatusOK)

	if status := h2.Daemon.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if _, _, err := h2.Get(lab.Loopback, "/healthz"); err == nil {
		t.Error("a stopped daemon answers")
	}
}

// The port may be open before the host has an underlay. Where it cannot be
// opened, one line says why.
func TestMetricsAddressIsTakenOrRefused(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	other := h.Listen(t, lab.Loopback)
	refused(t, h, 1, []string{"--metrics", lab.Loopback.String()}, "--metrics 127.0.0.1:8287", "another program listens there")
	other.Close()
	refused(t, h, 1, []string{"--metrics", "203.0.113.7:8287"}, "--metrics 203.0.113.7:8287", "no interface of this host has this address")

	h.Exec(t, "ip", "link", "set", "eth0", "down")
	h.Start("--metrics", lab.Loopback.String())
	says(t, h, lab.Loopback, "/healthz", http.StatusOK)
	says(t, h, lab.Loopback, "/readyz", http.StatusServiceUnavailable, "no lease yet: waiting for the underlay")
	h.Exec(t, "ip", "link", "set", "eth0", "up")
	h.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
	h.Daemon.WaitReady(ready)
	says(t, h, lab.Loopback, "/readyz", http.StatusOK) // alone in its network
}
