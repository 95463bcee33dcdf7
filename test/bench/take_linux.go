// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// values are what a measurement yields, by the metric's key.
type values = map[string]float64

// takers carry out the measures, by name.
var takers = map[string]func(measure, *path, options) (values, error){
	"tcp1":      takeStreams(1, false),
	"tcp4":      takeStreams(4, false),
	"iperf1":    takeIperf(1),
	"iperf4":    takeIperf(4),
	"both":      takeStreams(1, true),
	"tcprr":     takeRoundTrips(tcpRoundTrips),
	"udprr":     takeRoundTrips(udpRoundTrips),
	"load":      takeLoad,
	"udp64x1":   takePackets(64, 1),
	"udp64x8":   takePackets(64, 8),
	"udp1300x1": takePackets(1300, 1),
	"udp1300x8": takePackets(1300, 8),
	"memory":    takeMemory,
}

// takeStreams measures throughput and, where there is a metric for it, its
// cost.
func takeStreams(n int, both bool) func(measure, *path, options) (values, error) {
	return func(m measure, path *path, o options) (values, error) {
		t, err := stream(path, n, both, o.length)
		return m.valuesOf(t), err
	}
}

// takeIperf does the same with iperf3.
func takeIperf(n int) func(measure, *path, options) (values, error) {
	return func(m measure, path *path, o options) (values, error) {
		t, err := iperf(path, n, o.length)
		return m.valuesOf(t), err
	}
}

func (m measure) valuesOf(t throughput) values {
	v := values{m.metrics[0].key: t.gigabits()}
	if len(m.metrics) > 1 {
		v[m.metrics[1].key] = t.cost()
	}
	return v
}

// placements is how often round trips are begun anew, with new threads. How
// long they take depends on the processors that the two happen to be put on.
const placements = 5

// takeRoundTrips yields how many there were in a second, and percentiles.
func takeRoundTrips(measurement func(*path, time.Duration) (latencies, error)) func(measure, *path, options) (values, error) {
	return func(m measure, path *path, o options) (values, error) {
		length := o.length / 2
		var times latencies
		for range placements {
			some, err := measurement(path, length/placements)
			if err != nil {
				return nil, err
			}
			times = append(times, some...)
		}
		at := times.at(50, 99)
		return values{
			m.metrics[0].key: float64(len(times)) / length.Seconds(),
			m.metrics[1].key: at[0],
			m.metrics[2].key: at[1],
		}, nil
	}
}

func takeLoad(m measure, path *path, o options) (values, error) {
	times, err := loadedPing(path, o.length)
	if err != nil {
		return nil, err
	}
	at := times.at(50, 99)
	return values{m.metrics[0].key: at[0], m.metrics[1].key: at[1]}, nil
}

// takePackets finds the highest lossless rate, then offers twice as much.
func takePackets(size, flows int) func(measure, *path, options) (values, error) {
	keys := packetKeys(size, flows)
	return func(m measure, path *path, o options) (values, error) {
		t := trial{path: path, size: size, flows: flows, length: o.length / 5}
		rate, err := attempt(t.run).highest()
		if err != nil {
			return nil, err
		}
		v := values{keys.lossless: rate}
		if size != overloadSize {
			return v, nil
		}
		t.length *= 2
		over, err := t.run(2 * rate)
		if err != nil {
			return nil, fmt.Errorf("overload: %w", err)
		}
		v[keys.offered] = over.offered / rate
		v[keys.delivered] = over.delivered / rate
		return v, nil
	}
}

// takeMemory looks at the larger of the daemons. A path without any yields
// nothing.
func takeMemory(m measure, path *path, _ options) (values, error) {
	if len(path.processes) == 0 {
		return nil, nil
	}
	v := values{m.metrics[0].key: path.atRest}
	for _, pid := range path.processes {
		now, err := memoryOf(pid)
		if err != nil {
			return nil, err
		}
		v[m.metrics[1].key] = max(v[m.metrics[1].key], now.highest)
	}
	return v, nil
}
