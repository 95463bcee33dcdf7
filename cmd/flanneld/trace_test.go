// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// The exit status of trace is for scripts: 0 only if the packets arrive.
func TestTraceShowsEachStationAndTheVerdict(t *testing.T) {
	dir := serve(t, &fake{})
	for name, c := range map[string]struct {
		to   string
		want int
	}{"trace-arrived": {"10.244.9.2", statusOK}, "trace-lost": {"10.244.9.9", statusFailed}} {
		for _, format := range []string{"table", "json"} {
			r := flanneld(t, nil, "trace", c.to, "--run-dir", dir, "-o", format)
			golden(t, name+"."+format, r.out)
			if r.status != c.want || r.err != "" {
				t.Errorf("%s: status %d, %s", name, r.status, r.err)
			}
		}
	}
	for args, want := range map[string]string{
		"":                                     "2 flanneld: trace: IP is missing: see flanneld trace --help\n",
		"beta":                                 "2 flanneld: trace: \"beta\" is not an IP address\n",
		"fd00::1":                              "2 flanneld: trace: fd00::1 is no IPv4 address: the overlay carries IPv4\n",
		"10.244.9.2 --bridge 0123456789abcdef": "2 flanneld: trace: bridge \"0123456789abcdef\": longer than 15 bytes\n",
		"192.0.2.1":                            "1 flanneld: 192.0.2.1 is not in the network 10.244.0.0/16: the host's own routing decides\n",
	} {
		r := flanneld(t, nil, append([]string{"trace", "--run-dir", dir}, strings.Fields(args)...)...)
		if got := string(rune('0'+r.status)) + " " + r.err; got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
}
