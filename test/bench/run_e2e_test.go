// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bench runs the program to its end.
func bench(t *testing.T, environment []string, args ...string) (Report, string, int) {
	t.Helper()
	dir := t.TempDir()
	results := filepath.Join(dir, "results.json")
	cmd := exec.Command("go", append([]string{"run", ".", "-rounds", "1", "-time", "200ms", "-json", results}, args...)...)
	cmd.Env = append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	status := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	r, err := readReport(results)
	if err != nil {
		t.Fatalf("exit status %d, %v:\n%s", status, err, out)
	}
	return r, string(out), status
}

// The machine is this test's alone: a search for lossless rates needs that.
func TestEveryFigureOfEveryPathIsMeasured(t *testing.T) {
	r, out, status := bench(t, nil, "-paths", "routing,vxlan,flanneld")
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, out)
	}
	for _, c := range r.Comparisons {
		if c.Reason != "" {
			continue // BBR, if the kernel lacks it
		}
		for _, p := range c.Paths {
			for _, key := range c.Keys {
				daemon := strings.HasPrefix(p.Name, "flanneld")
				if result := p.Results[key]; result.Median <= 0 && (daemon || !strings.HasPrefix(key, "memory")) {
					t.Errorf("%s, %s: %s is %v", c.Title, p.Title, key, result.Median)
				}
			}
		}
	}
}

func TestOverlaysThatDoNotWorkAreNamedAndTheOthersContinue(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "wireguard-go"), []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, out, status := bench(t, []string{"PATH=" + programs + ":" + os.Getenv("PATH")}, "-paths", "vxlan,wireguard-go", "-metrics", "tcp1", "-variants", "none")
	if status != 0 || !strings.Contains(out, "wireguard-go: not measured: wireguard-go to take its configuration") {
		t.Errorf("exit status %d:\n%s", status, out)
	}
	if r.Comparisons[0].Paths[0].Results["tcp_1_stream_gbit_per_second"].Median == 0 {
		t.Error("VXLAN was not measured")
	}
}

func TestWithoutFlanneldTheRunFailsAfterTheOthers(t *testing.T) {
	t.Parallel()
	r, out, status := bench(t, []string{"FLANNELD_LAB_BINARY=/bin/false"}, "-paths", "vxlan,flanneld", "-metrics", "tcp1", "-variants", "none")
	if status != 1 || !strings.Contains(out, "flanneld: not measured: host1: flanneld ended with status 1 before it was ready") {
		t.Errorf("exit status %d:\n%s", status, out)
	}
	if r.Comparisons[0].Paths[0].Results["tcp_1_stream_gbit_per_second"].Median == 0 {
		t.Error("VXLAN was not measured")
	}
}
