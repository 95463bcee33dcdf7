// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Report is the outcome of one run.
type Report struct {
	Version     string       `json:"flanneld,omitempty"`
	Machine     Machine      `json:"machine"`
	Rounds      int          `json:"rounds"`
	Seconds     float64      `json:"seconds_per_stream"`
	Comparisons []Comparison `json:"comparisons"` // the main one first
}

// Machine describes where the run took place.
type Machine struct {
	Kernel     string `json:"kernel"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	Iperf      string `json:"iperf3,omitempty"` // its version, if it is installed
	Time       string `json:"time"`             // RFC 3339
}

// Comparison is some paths measured side by side.
type Comparison struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Reason string   `json:"not_measured,omitempty"` // why nothing was measured
	Paths  []Path   `json:"paths"`
	Keys   []string `json:"metrics"` // in the table's order
}

// Path is one way between two pods.
type Path struct {
	Name     string            `json:"name"`
	Title    string            `json:"title"`
	Setting  setting           `json:"setting"`
	Reason   string            `json:"not_measured,omitempty"` // why nothing was measured
	Failures []Failure         `json:"failures,omitempty"`
	Results  map[string]Result `json:"results,omitempty"`

	required bool
}

// Failure is a measurement that failed.
type Failure struct {
	Measure string `json:"measure"`
	Round   int    `json:"round"`
	Error   string `json:"error"`
}

// Result is one metric of one path.
type Result struct {
	Median  float64   `json:"median"`
	Least   float64   `json:"least"`
	Most    float64   `json:"most"`
	OfVXLAN float64   `json:"of_vxlan,omitempty"` // the ratio of the medians
	Rounds  []float64 `json:"rounds"`

	// Exchanges is how far apart the processors were just before each of the
	// rounds, in nanoseconds; see [exchange].
	Exchanges []float64 `json:"exchange_nanoseconds,omitempty"`
}

// add takes in what one measurement yielded, and how far apart the processors
// were.
func (p *Path) add(values map[string]float64, exchange float64) {
	if p.Results == nil {
		p.Results = map[string]Result{}
	}
	for key, value := range values {
		r := p.Results[key]
		r.Rounds = append(r.Rounds, value)
		if exchange > 0 {
			r.Exchanges = append(r.Exchanges, exchange)
		}
		p.Results[key] = r
	}
}

func (p *Path) fail(m measure, round int, err error) {
	p.Failures = append(p.Failures, Failure{m.name, round, err.Error()})
}

// finish computes medians, spreads, and ratios to the reference.
func (c *Comparison) finish() {
	base := map[string]float64{}
	for _, p := range c.Paths {
		for key, r := range p.Results {
			r.Median, r.Least, r.Most = median(r.Rounds), slices.Min(r.Rounds), slices.Max(r.Rounds)
			p.Results[key] = r
			if p.Name == reference {
				base[key] = r.Median
			}
		}
	}
	for _, p := range c.Paths {
		for key, r := range p.Results {
			if base[key] != 0 {
				r.OfVXLAN = r.Median / base[key]
			}
			p.Results[key] = r
		}
	}
}

// failed lists what makes the run a failure: a path that is always available
// was not measured in full.
func (r *Report) failed() (what []string) {
	for _, c := range r.Comparisons {
		what = append(what, c.failed()...)
	}
	return what
}

func (c *Comparison) failed() (what []string) {
	for _, p := range c.Paths {
		if !p.required {
			continue
		}
		if p.Reason != "" {
			what = append(what, fmt.Sprintf("%s, %s: %s", c.Title, p.Title, p.Reason))
		}
		for _, f := range p.Failures {
			what = append(what, fmt.Sprintf("%s, %s, %s, round %d: %s", c.Title, p.Title, f.Measure, f.Round, f.Error))
		}
	}
	return what
}

// exchanges are how near and how far the processors were from each other; 0 if
// that was not measured.
func (r *Report) exchanges() (least, most float64) {
	var all []float64
	for _, c := range r.Comparisons {
		for _, p := range c.Paths {
			for _, result := range p.Results {
				all = append(all, result.Exchanges...)
			}
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	return slices.Min(all), slices.Max(all)
}

// readReport reads what [Report.write] has written.
func readReport(name string) (r Report, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", name, err)
	}
	if len(r.Comparisons) == 0 {
		return r, fmt.Errorf("read %s: no comparison in it", name)
	}
	return r, nil
}

// write writes the report as JSON.
func (r *Report) write(name string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}
