// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestChart(t *testing.T) {
	r := example()
	golden(t, "chart.svg", r.chart())
}

func TestChartIsWellFormedWhateverTheTitles(t *testing.T) {
	r := example()
	r.Comparisons[0].Paths[2].Title = `a <b> & "c"`
	d := xml.NewDecoder(strings.NewReader(r.chart()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestChartStaysInItsFrame(t *testing.T) {
	r := example()
	c := &r.Comparisons[0]
	for _, ratio := range []float64{1e-6, 1, 1e6} {
		result := Result{Median: ratio, Least: ratio / 2, Most: ratio * 2, OfVXLAN: ratio, Rounds: []float64{ratio}}
		c.Paths[2].Results["tcp_1_stream_gbit_per_second"] = result
		axis := c.axis()
		b := axis.bar(result, 0, "", "")
		if b.X < chartLeft || b.X+b.Width > chartWidth-chartRight+1 || b.Least < chartLeft || b.Most > chartWidth-chartRight {
			t.Errorf("ratio %v: %+v", ratio, b)
		}
	}
}

func TestChartWithoutVXLANHasNoBars(t *testing.T) {
	r := example()
	c := &r.Comparisons[0]
	c.Paths = c.Paths[2:3]
	for key, result := range c.Paths[0].Results {
		result.OfVXLAN = 0
		c.Paths[0].Results[key] = result
	}
	if d := r.layOut(); len(d.Groups) != 0 {
		t.Errorf("%+v", d.Groups)
	}
}
