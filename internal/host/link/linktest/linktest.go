// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package linktest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// marker tells the process in the namespace from the one that starts it.
const marker = "FLANNELD_LINKTEST"

// Main is to be a package's TestMain: it starts the test program again in new
// network and mount namespaces, with a /run of its own (ip netns keeps its
// names there, iptables its lock), and hands its exit status on.
func Main(m *testing.M) {
	if os.Getenv(marker) != "" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "linktest:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(again())
}

func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET,
		Unshareflags: syscall.CLONE_NEWNS, // also makes every mount private
		Pdeathsig:    syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	err := cmd.Run()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		return max(failed.ExitCode(), 1)
	}
	fmt.Fprintf(os.Stderr, "linktest: these tests need root, for namespaces of their own: %v\n", err)
	return 1
}

func prepare() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a /run: %w", err)
	}
	return exec.Command("ip", "link", "set", "lo", "up").Run()
}

// Run runs a command line (split at blanks) and returns its standard output;
// a failure ends the test.
func Run(t testing.TB, line string) string {
	t.Helper()
	out, err := Try(line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Run for a command that may fail.
func Try(line string) (string, error) {
	words := strings.Fields(line)
	var out, errs bytes.Buffer
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", line, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Script runs one command a line; empty lines and # comments are passed over.
func Script(t testing.TB, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			Run(t, line)
		}
	}
}

// Teardown runs command lines when the test ends, in order. A line that fails
// keeps no other from its turn, and fails the test.
func Teardown(t testing.TB, lines ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, line := range lines {
			if _, err := Try(line); err != nil {
				t.Error(err)
			}
		}
	})
}

// Underlay makes an interface eth0 with the addresses 192.168.7.1 and
// 192.168.7.2 and a default route, until the test ends.
func Underlay(t testing.TB) {
	t.Helper()
	Script(t, `
		ip link add eth0 type veth peer name eth1
		ip address add 192.168.7.1/24 dev eth0
		ip address add 192.168.7.2/24 dev eth0
		ip link set eth0 up
		ip link set eth1 up
		ip route add default via 192.168.7.254`)
	t.Cleanup(func() { Try("ip link delete eth0") })
}

// In runs f on a thread in the named network namespace (ip netns); the thread
// ends with f.
func In(t testing.TB, name string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is not used again
		ns, err := os.Open("/run/netns/" + name)
		if err != nil {
			done <- err
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", name, err)
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
