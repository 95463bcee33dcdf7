// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestSealedPathsAreComparedWithWireguardGoAndUserSpace(t *testing.T) {
	const rate, cost = "tcp_1_stream_gbit_per_second", "tcp_1_stream_cpu_seconds_per_100_gbit"
	measured := func(name string, gigabits, seconds float64) Path {
		p := Path{Name: name, Title: name}
		p.add(map[string]float64{rate: gigabits, cost: seconds}, 0)
		return p
	}
	c := Comparison{Keys: []string{rate, cost}, Paths: []Path{
		measured(userSpace, 10, 5), measured("flanneld-aes", 8, 10), {Name: "flanneld-chacha", Title: "chacha", Reason: "it ended"}, measured(wireguardGo, 2, 40),
	}}
	c.finish()
	want := `| ratios of sealed paths     | flanneld-aes, to wireguard-go | flanneld-aes, to flanneld-user |
|----------------------------|------------------------------:|-------------------------------:|
| TCP, 1 stream, Gbit/s      |                         4.00x |                          0.80x |
| CPU-s/100 Gbit, 1 stream ↓ |                         0.25x |                          2.00x |
`
	if got := c.encryption(); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	c.Paths = c.Paths[:1]
	if got := c.encryption(); got != "" {
		t.Errorf("without a sealed path it is\n%s", got)
	}
}
