// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// measure is one kind of measurement. It takes a moment of a path's time and
// yields a value for each of its metrics.
type measure struct {
	name    string // for -metrics
	title   string // for the progress line
	metrics []metric
}

// metric is one figure of the report.
type metric struct {
	key    string // in the JSON
	title  string
	format string  // of a value in the table
	scale  float64 // the table shows value / scale; 0 means 1
	less   bool    // the smaller the better
	share  bool    // of something else of the same path: not compared with VXLAN
	chart  bool    // a bar in the chart
	readme bool    // a row of the README's table
}

// measures is every kind of measurement, in the order they take place in a
// round.
var measures = []measure{
	{"tcp1", "TCP, 1 stream", []metric{
		{key: "tcp_1_stream_gbit_per_second", title: "TCP, 1 stream, Gbit/s", format: "%.2f", chart: true, readme: true},
		{key: "tcp_1_stream_cpu_seconds_per_100_gbit", title: "CPU-s/100 Gbit, 1 stream", format: "%.1f", less: true, chart: true, readme: true},
	}},
	{"tcp4", "TCP, 4 streams", []metric{
		{key: "tcp_4_streams_gbit_per_second", title: "TCP, 4 streams, Gbit/s", format: "%.2f", chart: true, readme: true},
		{key: "tcp_4_streams_cpu_seconds_per_100_gbit", title: "CPU-s/100 Gbit, 4 streams", format: "%.1f", less: true},
	}},
	{"iperf1", "iperf3, 1 stream", []metric{
		{key: "iperf3_1_stream_gbit_per_second", title: "iperf3, 1 stream, Gbit/s", format: "%.2f", readme: true},
		{key: "iperf3_1_stream_cpu_seconds_per_100_gbit", title: "CPU-s/100 Gbit, iperf3, 1 stream", format: "%.1f", less: true},
	}},
	{"iperf4", "iperf3, 4 streams", []metric{
		{key: "iperf3_4_streams_gbit_per_second", title: "iperf3, 4 streams, Gbit/s", format: "%.2f", readme: true},
		{key: "iperf3_4_streams_cpu_seconds_per_100_gbit", title: "CPU-s/100 Gbit, iperf3, 4 streams", format: "%.1f", less: true},
	}},
	{"both", "TCP, both ways", []metric{
		{key: "tcp_both_ways_gbit_per_second", title: "TCP, 1 stream each way, Gbit/s", format: "%.2f", chart: true},
	}},
	{"tcprr", "TCP round trips", []metric{
		{key: "tcp_round_trips_per_second", title: "TCP round trips/s", format: "%.0f", chart: true, readme: true},
		{key: "tcp_round_trip_p50_microseconds", title: "TCP round trip, p50, µs", format: "%.0f", less: true},
		{key: "tcp_round_trip_p99_microseconds", title: "TCP round trip, p99, µs", format: "%.0f", less: true},
	}},
	{"udprr", "UDP round trips", []metric{
		{key: "udp_round_trips_per_second", title: "UDP round trips/s", format: "%.0f", chart: true, readme: true},
		{key: "udp_round_trip_p50_microseconds", title: "UDP round trip, p50, µs", format: "%.0f", less: true},
		{key: "udp_round_trip_p99_microseconds", title: "UDP round trip, p99, µs", format: "%.0f", less: true},
	}},
	{"load", "ping beside a TCP stream", []metric{
		{key: "loaded_ping_p50_microseconds", title: "ping beside a stream, p50, µs", format: "%.0f", less: true},
		{key: "loaded_ping_p99_microseconds", title: "ping beside a stream, p99, µs", format: "%.0f", less: true, chart: true, readme: true},
	}},
	packets(64, 1),
	packets(64, 8),
	packets(1300, 1),
	packets(1300, 8),
	{"memory", "memory", []metric{
		{key: "memory_at_rest_bytes", title: "memory of a daemon at rest, MB", format: "%.1f", scale: 1e6, less: true},
		{key: "memory_highest_bytes", title: "memory of a daemon, highest, MB", format: "%.1f", scale: 1e6, less: true},
	}},
}

// packets is the measurement of small packets or large, from one flow or more.
func packets(size, flows int) measure {
	what := fmt.Sprintf("%d-byte packets, %s", size, counted(flows, "flow"))
	keys := packetKeys(size, flows)
	m := measure{fmt.Sprintf("udp%dx%d", size, flows), what, []metric{
		{key: keys.lossless, title: what + ", 1000/s", format: "%.1f", scale: 1e3, chart: true, readme: size == overloadSize},
	}}
	if size == overloadSize {
		m.metrics = append(m.metrics,
			metric{key: keys.offered, title: fmt.Sprintf("overload from %s, offered", counted(flows, "sender")), format: "%.2f", share: true},
			metric{key: keys.delivered, title: fmt.Sprintf("overload from %s, delivered", counted(flows, "sender")), format: "%.2f", share: true})
	}
	return m
}

// overloadSize is the size of packet that overload is measured with.
const overloadSize = 64

// packetMetrics are the keys of what [packets] yields.
type packetMetrics struct{ lossless, offered, delivered string }

func packetKeys(size, flows int) packetMetrics {
	prefix := fmt.Sprintf("udp_%d_bytes_%s_", size, map[bool]string{true: "1_flow", false: fmt.Sprint(flows, "_flows")}[flows == 1])
	return packetMetrics{prefix + "packets_per_second", prefix + "offered_in_overload", prefix + "delivered_in_overload"}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func measureNames() (names []string) {
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}
