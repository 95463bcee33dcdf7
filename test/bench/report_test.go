package main

import (
	"strings"
	"testing"
)

func TestRatiosAreOfTheMediansToVXLAN(t *testing.T) {
	r := Report{Rounds: 3, Paths: []Path{
		{Name: reference, Results: map[string]Result{}},
		{Name: "flanneld", Results: map[string]Result{}},
	}}
	for _, v := range []float64{10, 12, 100} {
		r.Paths[0].add(tcp1, v)
	}
	for _, v := range []float64{6, 1, 9} {
		r.Paths[1].add(tcp1, v)
	}
	r.finish()
	if got := r.Paths[1].Results[tcp1]; got.Median != 6 || got.OfVXLAN != 0.5 {
		t.Errorf("%+v", got)
	}
	if got := r.Paths[0].Results[tcp1]; got.Median != 12 || got.OfVXLAN != 1 {
		t.Errorf("%+v", got)
	}
	if table := r.table(); !strings.Contains(table, "| 0.50 |") && !strings.Contains(table, " 0.50 |") {
		t.Errorf("no ratio in\n%s", table)
	}
}

func TestMedianOfNoneEvenAndOdd(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 5}, 5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.values, got, c.want)
		}
	}
}
