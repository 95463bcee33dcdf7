// SPDX-License-Identifier: Apache-2.0

//go:build page

package page

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/test/lab"
)

// How the speed with and without observers is compared: in turns, so that both
// meet the same machine.
const (
	speedRounds = 11
	speedRound  = 3 * time.Second
	scrapeEvery = 15 * time.Second // Prometheus' own default is a minute
)

// TestSpeedWithObservers prints the throughput of one TCP connection between
// two hosts with metrics that are scraped and a page that is open, as a ratio
// to that of two hosts without.
func TestSpeedWithObservers(t *testing.T) {
	for _, shortcut := range []string{"auto", "off"} {
		t.Run("shortcut="+shortcut, func(t *testing.T) {
			l := lab.New(t)
			plain := podPair(t, l, "--shortcut", shortcut)
			observed := podPair(t, l, "--shortcut", shortcut, "--metrics", netip.AddrPortFrom(netip.IPv4Unspecified(), lab.MetricsPort).String())
			reports := watch(t, l, observed[0].Host)
			watch(t, l, observed[1].Host)
			scrape(t, l, observed[0].Host, observed[1].Host)
			time.Sleep(settled)

			pairs := [2][2]*lab.Pod{plain, observed}
			var rates [2][]float64
			for round := range 2 * speedRounds {
				i := round % 2
				from, to := pairs[i][0], pairs[i][1]
				before := reports.Load()
				rate := lab.Throughput(t, from.Namespace, to.Namespace, netip.AddrPortFrom(to.Addr, 7001), speedRound, nil)
				rates[i] = append(rates[i], rate/1e9)
				if reports.Load() == before {
					t.Error("the page shows nothing new during the transfer")
				}
			}
			for i := range rates {
				slices.Sort(rates[i])
			}
			median := func(i int) float64 { return rates[i][speedRounds/2] }
			t.Logf("one TCP connection, medians of %d: %.2f Gbit/s (%.2f to %.2f) without, %.2f (%.2f to %.2f) with: %.3f", speedRounds,
				median(0), rates[0][0], rates[0][speedRounds-1], median(1), rates[1][0], rates[1][speedRounds-1], median(1)/median(0))
		})
	}
}

// podPair makes a network of two hosts, and a pod on each.
func podPair(t *testing.T, l *lab.Lab, args ...string) [2]*lab.Pod {
	t.Helper()
	hosts := l.Network(2, args...)
	pods := [2]*lab.Pod{hosts[0].Pod(), hosts[1].Pod()}
	pods[0].Reachable(t, pods[1].Addr, ready)
	return pods
}

// scrape reads the metrics of hosts, as Prometheus does, until the test ends.
func scrape(t *testing.T, l *lab.Lab, hosts ...*lab.Host) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(scrapeEvery); ; {
			for _, h := range hosts {
				if _, _, err := l.Switch.Get(netip.AddrPortFrom(h.Addr, lab.MetricsPort), "/metrics"); err != nil && t.Context().Err() == nil {
					t.Error(err)
				}
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { <-ended })
}
