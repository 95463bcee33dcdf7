// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"strings"
	"testing"
)

func TestConfigIsChecked(t *testing.T) {
	tests := []struct {
		cfg  Config
		want string // in the error; empty: no error
	}{
		{Config{Name: "flannel0"}, ""},
		{Config{Name: "fifteen-bytes-x", Queues: 256}, ""},
		{Config{Name: ""}, "1 to 15 bytes"},
		{Config{Name: "sixteen-bytes-xy"}, "1 to 15 bytes"},
		{Config{Name: "tun%d"}, "not allowed"}, // the kernel would number it
		{Config{Name: "a/b"}, "not allowed"},
		{Config{Name: "a:1"}, "not allowed"},
		{Config{Name: "a b"}, "not allowed"},
		{Config{Name: "a\x00b"}, "not allowed"},
		{Config{Name: ".."}, "not allowed"},
		{Config{Name: "flannel0", Queues: -1}, "1 to 256"},
		{Config{Name: "flannel0", Queues: 257}, "1 to 256"},
	}
	for _, test := range tests {
		_, err := test.cfg.checked()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", test.cfg, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%+v: error %v, want one with %q", test.cfg, err, test.want)
		}
	}
}

func TestOneQueueIsTheDefault(t *testing.T) {
	cfg, err := Config{Name: "flannel0"}.checked()
	if err != nil || cfg.Queues != 1 {
		t.Errorf("%d queues, error %v; want 1 queue", cfg.Queues, err)
	}
}

func TestOpenRefusesABadName(t *testing.T) {
	if _, err := Open(Config{Name: "tun%d"}); err == nil {
		t.Error("Open accepted a name that the kernel would number")
	}
}
