// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockSeconds is how long a command waits for the xtables lock, which
	// dockerd and firewalld hold while they change rules (milliseconds each).
	lockSeconds = 5
	// commandTime bounds one run of iptables. A healthy one takes milliseconds
	// and a wait for the lock; one that hangs is killed.
	commandTime = 8 * time.Second
	// pipeTime is how long what a killed command has started may keep its
	// output open. A command that ends by itself closes it; on a host without a
	// free processor the end of its output may be read some time later.
	pipeTime = 2 * time.Second
)

// iptables is the command that Docker would use: the first in PATH. It is run
// here rather than by go-iptables, which can neither bound nor kill a run.
// One is made for each look at the rules: it remembers what it has listed.
type iptables struct {
	path   string
	listed map[string]listing // by table, until a change
}

// listing is what -S printed of a table, or why it did not.
type listing struct {
	out string
	err error
}

// commandError is what iptables printed when it failed.
type commandError struct {
	args   []string
	status int
	stderr string
}

func (e *commandError) Error() string {
	return fmt.Sprintf("iptables %s: exit status %d: %s", strings.Join(e.args, " "), e.status, strings.Join(strings.Fields(e.stderr), " "))
}

// open finds the command. ErrNoIPTables where there is none.
func open() (*iptables, error) {
	path, err := exec.LookPath("iptables")
	if err != nil {
		return nil, ErrNoIPTables
	}
	return &iptables{path: path, listed: make(map[string]listing)}, nil
}

// randomFully reports whether it knows --random-fully, as since 1.6.2. One that
// does not say its version is taken for new.
func (i *iptables) randomFully(ctx context.Context) bool {
	said, err := i.command(ctx, "--version")
	return err != nil || atLeast(said, 1, 6, 2)
}

// atLeast reads a version as in "iptables v1.8.9 (nf_tables)". An unreadable
// one is taken for new.
func atLeast(said string, want ...int) bool {
	_, version, _ := strings.Cut(said, "v")
	version, _, _ = strings.Cut(strings.TrimSpace(version), " ")
	for i, part := range strings.Split(version, ".") {
		have, err := strconv.Atoi(part)
		if err != nil || i >= len(want) || have > want[i] {
			return true
		}
		if have < want[i] {
			return false
		}
	}
	return true
}

// list prints a whole table, once until the next change.
func (i *iptables) list(ctx context.Context, table string) (string, error) {
	l, ok := i.listed[table]
	if !ok {
		l.out, l.err = i.run(ctx, table, "-S")
		i.listed[table] = l
	}
	return l.out, l.err
}

// change is run for a command that changes the table.
func (i *iptables) change(ctx context.Context, table string, args ...string) (string, error) {
	delete(i.listed, table)
	return i.run(ctx, table, args...)
}

// run works on a table, and waits for the lock.
func (i *iptables) run(ctx context.Context, table string, args ...string) (string, error) {
	return i.command(ctx, append([]string{"-w", strconv.Itoa(lockSeconds), "-t", table}, args...)...)
}

// command runs iptables to its end, or until ctx or commandTime end it: then
// the command is killed with everything that it started. It does not outlive
// this process either, and the lock that it may hold.
func (i *iptables) command(parent context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(parent, commandTime)
	defer cancel()
	var stdout, stderr output
	cmd := exec.CommandContext(ctx, i.path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = pipeTime
	runtime.LockOSThread() // Pdeathsig is about the thread that starts it
	err := cmd.Run()
	runtime.UnlockOSThread()
	if cmd.Process != nil { // what it has left behind, in its process group
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}
	var failed *exec.ExitError
	switch {
	case parent.Err() != nil:
		return "", parent.Err()
	case ctx.Err() != nil:
		return "", fmt.Errorf("%w: %s %s did not end within %v and was killed", ErrHangs, i.path, strings.Join(args, " "), commandTime)
	case errors.As(err, &failed):
		return "", &commandError{args: args, status: failed.ExitCode(), stderr: stderr.String()}
	case err != nil:
		return "", fmt.Errorf("run %s: %w", i.path, err)
	}
	return stdout.String(), nil
}

// maxOutput bounds what a command may print, in bytes: a rule takes about 100.
const maxOutput = 32 << 20

// output collects what a command prints. A command that prints too much finds
// its pipe closed.
type output struct{ bytes.Buffer }

func (o *output) Write(b []byte) (int, error) {
	if o.Len()+len(b) > maxOutput {
		return 0, fmt.Errorf("more than %d bytes of output", maxOutput)
	}
	return o.Buffer.Write(b)
}

// missing reports whether a rule to be deleted is not there any more.
func missing(err error) bool {
	var failed *commandError
	return errors.As(err, &failed) && failed.status != 4 && // 4: the lock was not free
		(strings.Contains(failed.stderr, "does a matching rule exist") || strings.Contains(failed.stderr, "No chain/target/match by that name"))
}
