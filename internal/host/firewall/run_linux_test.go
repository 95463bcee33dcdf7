// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeIPTables puts a script in the place of iptables.
func fakeIPTables(t *testing.T, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "iptables"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// expectGone fails the test if the process runs for another second.
func expectGone(t *testing.T, pid string) {
	t.Helper()
	for end := time.Now().Add(time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(end) {
			t.Errorf("process %s is left behind", pid)
			return
		}
	}
}

// An iptables that hangs, and children that keep its output open, are killed
// when the caller has no more use for them, at the latest after commandTime.
func TestIPTablesThatHangsIsKilled(t *testing.T) {
	for name, script := range map[string]string{
		"at once":          "exec sleep 60",
		"in a child":       "sleep 60 & echo $! >$0.child; sleep 60",
		"child keeps pipe": "sleep 60 & echo $! >$0.child; exit 0",
		"after version":    `case "$1" in --version) echo "iptables v1.8.9 (nf_tables)";; *) exec sleep 60;; esac`,
		"floods":           "exec cat /dev/zero",
	} {
		t.Run(name, func(t *testing.T) {
			dir := fakeIPTables(t, script)
			f, err := New(testConfig("flannel0"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			if _, err := f.Ensure(ctx); err == nil {
				t.Error("no error")
			}
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("returned after %v", d)
			}
			if child, err := os.ReadFile(filepath.Join(dir, "iptables.child")); err == nil {
				expectGone(t, strings.TrimSpace(string(child)))
			}
		})
	}
	fakeIPTables(t, "exec sleep 60")
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := f.Ensure(t.Context()); !errors.Is(err, ErrHangs) {
		t.Errorf("error %v", err)
	}
	if d := time.Since(start); d < commandTime || d > commandTime+5*time.Second {
		t.Errorf("given up after %v", d)
	}
}

// TestIPTablesDoesNotOutliveItsCaller runs itself as the process that is killed
// while iptables hangs.
func TestIPTablesDoesNotOutliveItsCaller(t *testing.T) {
	if os.Getenv("FLANNELD_TEST_CALLER") != "" {
		f, err := New(testConfig("flannel0"))
		if err == nil {
			_, err = f.Ensure(t.Context())
		}
		t.Fatalf("it ended: %v", err)
	}
	dir := fakeIPTables(t, "echo $$ >$0.tmp; mv $0.tmp $0.pid; exec sleep 60")
	caller := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	caller.Env = append(os.Environ(), "FLANNELD_TEST_CALLER=1")
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	var pid []byte
	for end := time.Now().Add(5 * time.Second); len(pid) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("iptables was not run")
		}
		pid, _ = os.ReadFile(filepath.Join(dir, "iptables.pid"))
	}
	if err := caller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = caller.Wait() // killed
	expectGone(t, strings.TrimSpace(string(pid)))
}

func TestIPTablesThatFailsIsNamed(t *testing.T) {
	for name, script := range map[string]string{
		"fails":               "echo 'iptables: Permission denied (you must be root)' >&2; exit 4",
		"dies":                "kill -9 $$",
		"fails after version": `case "$1" in --version) echo "iptables v1.8.9 (nf_tables)";; *) echo "Fatal: no table" >&2; exit 3;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			fakeIPTables(t, script)
			f, err := New(testConfig("flannel0"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Ensure(t.Context()); err == nil || errors.Is(err, ErrNoIPTables) || errors.Is(err, ErrHangs) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestVersionIsRead(t *testing.T) {
	for said, want := range map[string]bool{
		"iptables v1.8.9 (nf_tables)": true, "iptables v1.6.2": true, "iptables v1.6.1": false,
		"iptables v1.4.21": false, "iptables v2.0": true, "nonsense": true, "": true,
	} {
		if got := atLeast(said, 1, 6, 2); got != want {
			t.Errorf("%q: %t", said, got)
		}
	}
}

// iptables-nft 1.8.9 calls a chain that is missing "incompatible". If it cannot
// list the table either, what it says of the table is the cause.
func TestCauseIsWhatIPTablesSaysOfTheTable(t *testing.T) {
	fakeIPTables(t, `case "$*" in
		--version) echo "iptables v1.8.9 (nf_tables)";;
		*"-S FLANNELD"*) echo "chain is incompatible, use 'nft' tool" >&2; exit 1;;
		*) echo "Couldn't load match mark" >&2; exit 2;;
	esac`)
	f, err := New(testConfig("flannel0"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Ensure(t.Context())
	if err == nil || !strings.Contains(err.Error(), "load match") || strings.Contains(err.Error(), "incompatible") {
		t.Errorf("got %v", err)
	}
}

// iptables-nft refuses to print a table in which another program has something
// that it does not know. It prints the chains that it does know.
func TestChainIsReadFromATableThatIPTablesRefuses(t *testing.T) {
	dir := fakeIPTables(t, `echo "$*" >>"$0.runs"
	case "$*" in
		*"-S FORWARD"*) echo "-P FORWARD ACCEPT"; echo "-A FORWARD -j DROP";;
		*) echo "table is incompatible, use 'nft' tool" >&2; exit 1;;
	esac`)
	ipt, err := open()
	if err != nil {
		t.Fatal(err)
	}
	rules, exists, err := list(t.Context(), ipt, "filter", "FORWARD")
	if err != nil || !exists || len(rules) != 1 || rules[0] != "-j DROP" {
		t.Errorf("got %q, %t, %v", rules, exists, err)
	}
	if _, _, err := list(t.Context(), ipt, "filter", "FLANNELD-flannel0"); err == nil {
		t.Error("a chain that cannot be read is taken for missing")
	}
	if runs, _ := os.ReadFile(filepath.Join(dir, "iptables.runs")); strings.Count(string(runs), "-S\n") != 1 {
		t.Errorf("the table is listed more than once:\n%s", runs)
	}
}
