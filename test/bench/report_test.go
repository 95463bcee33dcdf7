// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// example is a report with everything that may happen: paths measured, one
// that is not there, one that failed once, one round that differs, a variant
// that can't be.
func example() Report {
	r := Report{
		Version: "v1.2.3", Rounds: 3, Seconds: 1.5,
		Machine: Machine{Kernel: "6.18.0", Processors: 2, Go: "go1.26", Iperf: "3.12", Time: "2026-01-02T03:04:05Z"},
	}
	base := setting{"cubic", "auto", true, false}
	c := Comparison{Name: "main", Title: "everything as it comes"}
	for _, name := range []string{"tcp1", "load", "udp64x8", "memory"} {
		for _, m := range measures {
			if m.name == name {
				c.Keys = append(c.Keys, comparison{measures: []measure{m}}.keys()...)
			}
		}
	}
	for _, k := range kinds {
		// Whether AES-GCM can be measured depends on the machine.
		required := k.required && k.name != "flanneld-aes"
		c.Paths = append(c.Paths, Path{Name: k.name, Title: k.title, Setting: base, required: required})
	}
	take := func(path int, key string, values ...float64) {
		for i, v := range values {
			c.Paths[path].add(map[string]float64{key: v}, 90+170*float64(i))
		}
	}
	tcp, cpu, ping := "tcp_1_stream_gbit_per_second", "tcp_1_stream_cpu_seconds_per_100_gbit", "loaded_ping_p99_microseconds"
	take(0, tcp, 15, 16, 14)
	take(1, tcp, 10, 12, 100)
	take(2, tcp, 6, 1, 9)
	take(3, tcp, 1, 1, 1)
	take(1, cpu, 10, 10, 10)
	take(2, cpu, 15, 16, 14)
	take(1, ping, 50, 60, 55)
	take(2, ping, 90, 100, 5000)
	take(1, packetKeys(64, 8).lossless, 200_000, 190_000, 210_000)
	take(2, packetKeys(64, 8).lossless, 150_000, 140_000)
	take(2, "memory_at_rest_bytes", 17e6)
	take(2, "memory_highest_bytes", 25e6)
	for i, p := range c.Paths {
		if p.Name == "flanneld-chacha" {
			take(i, tcp, 0.5, 0.5, 0.7)
			take(i, cpu, 40)
		}
	}
	c.Paths[2].Failures = []Failure{{"udp64x8", 3, "no rate without loss"}}
	for i := range c.Paths {
		if !c.Paths[i].required {
			c.Paths[i].Reason = "no " + c.Paths[i].Name + " on PATH"
		}
	}
	c.finish()
	on := Comparison{Name: docker, Title: "the rules of a Docker host", Keys: c.Keys[:1]}
	for _, k := range kinds[:2] {
		on.Paths = append(on.Paths, Path{Name: k.name, Title: k.title, Setting: setting{"cubic", "auto", true, true}, required: k.required})
	}
	on.Paths[0].add(map[string]float64{tcp: 12}, 0)
	on.Paths[1].add(map[string]float64{tcp: 8}, 0)
	on.finish()
	r.Comparisons = []Comparison{c, on, {Name: "bbr", Title: "BBR", Reason: "this kernel has no bbr, only reno cubic"}}
	return r
}

func TestRatiosAreOfTheMediansToVXLAN(t *testing.T) {
	r := example()
	paths, key := r.Comparisons[0].Paths, "tcp_1_stream_gbit_per_second"
	if got, want := paths[2].Results[key], (Result{6, 1, 9, 0.5, []float64{6, 1, 9}, []float64{90, 260, 430}}); !reflect.DeepEqual(got, want) {
		t.Errorf("flanneld: %+v, want %+v", got, want)
	}
	if got := paths[1].Results[key]; got.Median != 12 || got.OfVXLAN != 1 || got.Most != 100 {
		t.Errorf("VXLAN: %+v", got)
	}
}

func TestWithoutVXLANThereAreNoRatios(t *testing.T) {
	c := Comparison{Paths: []Path{{Name: "flanneld"}}}
	c.Paths[0].add(map[string]float64{"x": 5}, 0)
	c.finish()
	if got := c.Paths[0].Results["x"]; got.OfVXLAN != 0 || got.Median != 5 {
		t.Errorf("%+v", got)
	}
}

func TestJSONComesBackAsItWas(t *testing.T) {
	r, name := example(), filepath.Join(t.TempDir(), "results.json")
	if err := r.write(name); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(name)
	if err != nil {
		t.Fatal(err)
	}
	if want := r.text(); got.text() != want {
		t.Errorf("read back:\n%s\nwritten:\n%s", got.text(), want)
	}
	golden(t, "results.json", string(read(t, name)))
}

func TestOnlyCommonPathsFailTheRun(t *testing.T) {
	r := example()
	failed := r.failed()
	if len(failed) != 1 || !strings.Contains(failed[0], "flanneld, udp64x8, round 3: no rate without loss") {
		t.Errorf("%q", failed)
	}
	r.Comparisons[0].Paths[1].Reason = "ip: exit status 2"
	if failed := r.failed(); len(failed) != 2 || !strings.Contains(failed[0], "kernel VXLAN: ip: exit status 2") {
		t.Errorf("%q", failed)
	}
}

func TestEveryMetricHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range measures {
		for _, metric := range m.metrics {
			if seen[metric.key] || seen[metric.title] {
				t.Errorf("%s (%s) appears twice", metric.key, metric.title)
			}
			seen[metric.key], seen[metric.title] = true, true
		}
	}
}
