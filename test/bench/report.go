package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Names of what is measured, as they stand in the JSON.
const (
	tcp1   = "tcp_1_stream_gbit_per_second"
	tcp4   = "tcp_4_streams_gbit_per_second"
	cost   = "cpu_seconds_per_100_gbit"
	rtt    = "tcp_round_trips_per_second"
	rttP99 = "tcp_round_trip_p99_microseconds"
	udp64  = "udp_64_byte_packets_per_second"
)

// reference is the path that the others are compared with.
const reference = "kernel VXLAN"

// columns of the table, in order.
var columns = []struct{ name, title, format string }{
	{tcp1, "TCP 1 stream Gbit/s", "%.2f"},
	{tcp4, "TCP 4 streams Gbit/s", "%.2f"},
	{rtt, "TCP round trips/s", "%.0f"},
	{rttP99, "p99 us", "%.0f"},
	{udp64, "64-byte packets/s", "%.0f"},
	{cost, "CPU-s/100 Gbit", "%.1f"},
}

// Report is everything that one run has found out.
type Report struct {
	Machine Machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds_per_measurement"`
	Paths   []Path  `json:"paths"`
}

// Machine is where it was measured.
type Machine struct {
	Kernel     string `json:"kernel"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	Congestion string `json:"congestion_control"`
	Time       string `json:"time"`
}

// Path is one way between two pods.
type Path struct {
	Name    string            `json:"name"`
	Results map[string]Result `json:"results"`
}

// Result is one metric of one path.
type Result struct {
	Median  float64   `json:"median"`
	OfVXLAN float64   `json:"of_vxlan"` // the ratio of the medians
	Rounds  []float64 `json:"rounds"`
}

func (p Path) add(name string, value float64) {
	r := p.Results[name]
	r.Rounds = append(r.Rounds, value)
	p.Results[name] = r
}

// finish computes medians, and ratios to the reference.
func (r *Report) finish() {
	base := map[string]float64{}
	for _, p := range r.Paths {
		for name, result := range p.Results {
			result.Median = median(result.Rounds)
			p.Results[name] = result
			if p.Name == reference {
				base[name] = result.Median
			}
		}
	}
	for _, p := range r.Paths {
		for name, result := range p.Results {
			if base[name] != 0 {
				result.OfVXLAN = result.Median / base[name]
			}
			p.Results[name] = result
		}
	}
}

// table is the report for people, in Markdown.
func (r *Report) table() string {
	rows := [][]string{{"path"}}
	for _, c := range columns {
		rows[0] = append(rows[0], c.title, "of VXLAN")
	}
	for _, p := range r.Paths {
		row := []string{p.Name}
		for _, c := range columns {
			result := p.Results[c.name]
			row = append(row, fmt.Sprintf(c.format, result.Median), fmt.Sprintf("%.2f", result.OfVXLAN))
		}
		rows = append(rows, row)
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		writeRow(&b, row, widths)
		if i == 0 {
			rule := make([]string, len(row))
			for j := range rule {
				rule[j] = strings.Repeat("-", widths[j])
			}
			writeRow(&b, rule, widths)
		}
	}
	fmt.Fprintf(&b, "\nMedians of %d rounds, %g s each; %d processors, Linux %s, %s, %s.\n", r.Rounds, r.Seconds,
		r.Machine.Processors, r.Machine.Kernel, r.Machine.Congestion, r.Machine.Go)
	b.WriteString("64-byte packets/s: the highest rate of which at most 0.5 % is lost.\n")
	return b.String()
}

func writeRow(b *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		if i == 0 {
			fmt.Fprintf(b, "| %-*s |", widths[i], cell)
		} else {
			fmt.Fprintf(b, " %*s |", widths[i], cell)
		}
	}
	b.WriteByte('\n')
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func geometric(a, b float64) float64 { return math.Sqrt(a * b) }
