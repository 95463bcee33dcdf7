// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mark is a variable by which the benchmark's processes are found: they inherit
// it.
const mark = "FLANNELD_TEST_BENCH_RUN="

func TestInterruptedAtAnyMomentItLeavesNothingBehind(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the benchmark: %v\n%s", err, out)
	}
	for _, c := range []struct {
		moment string // when this is on the progress line
		signal unix.Signal
	}{
		{"Building", unix.SIGTERM},
		{"set up kernel VXLAN", unix.SIGINT},
		{"set up flanneld", unix.SIGTERM},
		{"TCP, 4 streams: flanneld", unix.SIGINT},
		{"iperf3, 1 stream: flanneld", unix.SIGINT},
		{"64-byte packets, 8 flows: kernel VXLAN", unix.SIGTERM},
		{"segmentation: set up flanneld", unix.SIGTERM},
	} {
		t.Run(c.moment, func(t *testing.T) {
			t.Parallel()
			interruptAt(t, program, c.moment, c.signal)
		})
	}
}

func interruptAt(t *testing.T, program, moment string, signal unix.Signal) {
	before := namespaces(t)
	dir := t.TempDir()
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-rounds", "1", "-time", "300ms", "-paths", "vxlan,flanneld", "-metrics", "tcp4,iperf1,udp64x8",
		"-variants", "segmentation", "-json", filepath.Join(dir, "results.json"), "-chart", filepath.Join(dir, "chart.svg"))
	cmd.Env = append(os.Environ(), mark+dir, "TMPDIR="+temporary)
	progress, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// Processes that inherit the pipe may live on: their end is checked below.
	cmd.WaitDelay = time.Second
	lines := bufio.NewScanner(progress)
	var seen []string
	for lines.Scan() && !strings.Contains(lines.Text(), moment) {
		seen = append(seen, lines.Text())
	}
	time.Sleep(70 * time.Millisecond) // in the middle
	start := time.Now()
	cmd.Process.Signal(signal)
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it ended by itself (%v) before %q; it said %q", err, moment, seen)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v to end", took)
	}
	nothingLeft(t, dir, before)
}

// nothingLeft waits a moment for the kernel, and up to a minute for a compiler
// under way, which a busy machine keeps so long.
func nothingLeft(t *testing.T, dir string, before []string) {
	t.Helper()
	var processes, files []string
	for range 600 {
		processes, files = processesWith(mark+dir), filesIn(t, dir)
		if len(processes) == 0 && len(files) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if len(processes) > 0 {
		t.Errorf("processes left: %q", processes)
	}
	if len(files) > 0 {
		t.Errorf("files left: %q", files)
	}
	if after := namespaces(t); !slices.Equal(before, after) {
		t.Errorf("named namespaces: %q before, %q after", before, after)
	}
}

// processesWith lists the command lines of processes that have the variable.
func processesWith(variable string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		environment, err := os.ReadFile(file)
		if err == nil && slices.Contains(strings.Split(string(environment), "\x00"), variable) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func filesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && path != dir && path != filepath.Join(dir, "tmp") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// namespaces are the ones that ip(8) would list.
func namespaces(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
