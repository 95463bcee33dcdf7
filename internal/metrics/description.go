// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// description is one metric of flanneld's own.
type description struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType // untyped: a histogram
	name   string
	help   string
	labels []string
}

// descriptions are all metrics of flanneld's own, in the order in which they
// are declared.
var descriptions []*description

func describe(kind prometheus.ValueType, name, help string, labels ...string) *description {
	name = namespace + "_" + name
	d := &description{prometheus.NewDesc(name, help, labels, nil), kind, name, help, labels}
	descriptions = append(descriptions, d)
	return d
}

func gauge(name, help string, labels ...string) *description {
	return describe(prometheus.GaugeValue, name, help, labels...)
}

func counter(name, help string, labels ...string) *description {
	return describe(prometheus.CounterValue, name, help, labels...)
}

func histogram(name, help string, labels ...string) *description {
	return describe(prometheus.UntypedValue, name, help, labels...)
}

// sink takes the values of one scrape.
type sink struct{ to chan<- prometheus.Metric }

func (s sink) put(d *description, value float64, labels ...string) {
	for i, text := range labels {
		labels[i] = labelText(text)
	}
	s.to <- prometheus.MustNewConstMetric(d.desc, d.kind, value, labels...)
}

func (s sink) putBool(d *description, value bool, labels ...string) {
	n := 0.0
	if value {
		n = 1
	}
	s.put(d, n, labels...)
}

// oneOf puts a value for each of all states: 1 for the present one.
func (s sink) oneOf(d *description, present string, all []string) {
	for _, state := range all {
		s.putBool(d, state == present, state)
	}
}
