// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

func TestMetricsNeedAnAddressAndAPort(t *testing.T) {
	for value, want := range map[string]string{
		"127.0.0.1:8287": "", "[::1]:8287": "", "0.0.0.0:8287": "", "[::]:65535": "", "10.0.0.1:1": "",
		":8287":                      "write it like 127.0.0.1:8287",
		"8287":                       "write it like 127.0.0.1:8287",
		"localhost:8287":             "write it like 127.0.0.1:8287",
		"127.0.0.1":                  "write it like 127.0.0.1:8287",
		"http://127.0.0.1:8287":      "write it like 127.0.0.1:8287",
		"127.0.0.1:65536":            "write it like 127.0.0.1:8287",
		"127.0.0.1:0":                "its port is not a number from 1 to 65535",
		"224.0.0.1:8287":             "not an address to listen on",
		"[fe80::1%eth0]:8287":        "not an address to listen on",
		"127.0.0.1:8286":             "has the gossip port (--gossip-port) 8286",
		"[2001:db8::1]:8286":         "has the gossip port (--gossip-port) 8286",
		"127.0.0.1:8285":             "", // of data, which is UDP
		"127.0.0.1:8287,0.0.0.0:100": "write it like 127.0.0.1:8287",
	} {
		c, err := load(t, []string{"metrics=" + value}, nil)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
		if want == "" && c.Metrics.String() != value {
			t.Errorf("%s became %s", value, c.Metrics)
		}
	}
}

func TestOnlyLoopbackIsHidden(t *testing.T) {
	for value, exposed := range map[string]bool{
		"127.0.0.1:1": false, "127.9.9.9:1": false, "[::1]:1": false, "[::ffff:127.0.0.1]:1": false,
		"0.0.0.0:1": true, "[::]:1": true, "10.0.0.1:1": true, "192.0.2.1:1": true,
	} {
		c, err := load(t, []string{"metrics=" + value}, nil)
		if err != nil || c.MetricsExposed() != exposed {
			t.Errorf("%s: exposed %t, %v", value, c.MetricsExposed(), err)
		}
	}
	if (Config{}).MetricsExposed() {
		t.Error("exposed without an address")
	}
}
