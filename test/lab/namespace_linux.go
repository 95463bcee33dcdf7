// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// home is the network namespace the program itself runs in.
var home *os.File

func rememberHome() (err error) {
	home, err = os.Open("/proc/self/ns/net")
	return err
}

// Namespace is a network namespace: a host, a pod, a router. It is kept alive
// by a bind mount under /run/netns, where `ip -n NAME` finds it.
type Namespace struct {
	Name string
	file *os.File
}

// NewNamespace makes an empty namespace with its loopback up. It is removed
// when the test ends.
func NewNamespace(t TB, name string) *Namespace {
	t.Helper()
	ns, err := makeNamespace(name)
	if err != nil {
		t.Fatalf("make namespace %s: %v", name, err)
	}
	t.Cleanup(ns.Remove)
	if err := ns.Do(loopbackUp); err != nil {
		t.Fatalf("set up the loopback of namespace %s: %v", name, err)
	}
	return ns
}

// loopbackUp sets up the loopback of the thread's namespace.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// OpenNamespace takes the namespace at a path such as /proc/PID/ns/net, to
// step into a container. It is closed when the test ends.
func OpenNamespace(t TB, name, path string) *Namespace {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("open namespace of %s: %v", name, err)
	}
	ns := &Namespace{Name: name, file: file}
	t.Cleanup(ns.Remove)
	return ns
}

func makeNamespace(name string) (*Namespace, error) {
	path := filepath.Join("/run/netns", name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return nil, err
	}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		made <- unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}()
	if err := <-made; err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &Namespace{Name: name, file: file}, nil
}

// Path is the file by which container runtimes know the namespace.
func (ns *Namespace) Path() string { return filepath.Join("/run/netns", ns.Name) }

// Remove forgets the namespace; the kernel ends it with its last process. It
// may be called more than once.
func (ns *Namespace) Remove() {
	ns.file.Close()
	path := ns.Path()
	if unix.Unmount(path, unix.MNT_DETACH) == nil {
		os.Remove(path)
	}
}

// Do runs f on a thread that is inside the namespace. Sockets that f opens and
// processes that it starts stay there; f must not start goroutines that
// themselves rely on the namespace.
func (ns *Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("enter namespace %s: %w", ns.Name, err)
			return // with the thread
		}
		err := f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// Start starts the command inside the namespace.
func (ns *Namespace) Start(cmd *exec.Cmd) error { return ns.Do(cmd.Start) }

// Result is what a command printed and how it ended.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Run runs a command to its end, whatever its exit status. It fails the test
// only when the command can't be started at all.
func (ns *Namespace) Run(t TB, name string, args ...string) Result {
	t.Helper()
	return ns.RunCommand(t, exec.Command(name, args...))
}

// RunCommand is [Namespace.Run] for a command with an environment, input or
// credentials of its own.
func (ns *Namespace) RunCommand(t TB, cmd *exec.Cmd) Result {
	t.Helper()
	return runCommand(t, ns.Name, ns.Start, cmd)
}

// runCommand runs a command to its end where start starts it.
func runCommand(t TB, where string, start func(*exec.Cmd) error, cmd *exec.Cmd) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := start(cmd); err != nil {
		t.Fatalf("%s: %v: %v", where, cmd.Args, err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v: %v", where, cmd.Args, err)
	}
	return Result{stdout.String(), stderr.String(), exitStatus(err)}
}

// Exec runs a command that has to succeed and returns its standard output.
func (ns *Namespace) Exec(t TB, name string, args ...string) string {
	t.Helper()
	r := ns.Run(t, name, args...)
	if r.Status != 0 {
		t.Fatalf("%s: %s %s: exit status %d\n%s%s", ns.Name, name, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// IP runs commands of ip(8) in one process, each without the word ip: to start
// one takes longer than what it does. All have to succeed.
func (ns *Namespace) IP(t TB, commands ...string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if r := ns.RunCommand(t, cmd); r.Status != 0 {
		t.Fatalf("%s: ip -batch: exit status %d\n%s\n%s%s", ns.Name, r.Status, strings.Join(commands, "\n"), r.Stdout, r.Stderr)
	}
}

// Sysctl sets a value below /proc/sys, in this namespace.
func (ns *Namespace) Sysctl(t TB, key, value string) {
	t.Helper()
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	err := ns.Do(func() error { return os.WriteFile(path, []byte(value), 0o644) })
	if err != nil {
		t.Fatalf("%s: set %s: %v", ns.Name, key, err)
	}
}

// ReadSysctl returns a value from below /proc/sys, without the line's end.
func (ns *Namespace) ReadSysctl(t TB, key string) string {
	t.Helper()
	var value []byte
	path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
	err := ns.Do(func() (err error) { value, err = os.ReadFile(path); return err })
	if err != nil {
		t.Fatalf("%s: read %s: %v", ns.Name, key, err)
	}
	return strings.TrimSpace(string(value))
}
