// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"flanneld/internal/bounded"
)

// commandTime bounds one run.
const commandTime = 10 * time.Second

// killTime is how long a command's pipes may stay open after it was killed: a
// program that left its process group may hold them.
const killTime = time.Second

// Command finds nodes by a program that prints their addresses.
type Command struct {
	Line string // for /bin/sh -c

	limit time.Duration // of one run; 0: commandTime
}

// String is the form that --join takes.
func (c Command) String() string { return "exec:" + shortened(c.Line) }

// Seeds runs the command and reads its output. A command that takes too long is
// killed, with what it has started.
func (c Command) Seeds(ctx context.Context) ([]string, error) {
	limit := c.limit
	if limit == 0 {
		limit = commandTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, complaint := bounded.Writer{Limit: maxText}, bounded.Writer{Limit: 1 << 10}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.Line)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killTime
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("the command took longer than %s and was ended", limit)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("the command failed (%w)%s", err, behind(": ", firstLine(complaint.Bytes())))
	case out.Full():
		return nil, fmt.Errorf("the command printed more than %d bytes: let it print addresses only", maxText)
	}
	seeds, err := parseOutput(string(out.Bytes()))
	if errors.Is(err, errNone) && len(complaint.Bytes()) > 0 { // the end of a pipe hides a failure
		err = fmt.Errorf("%w: %s", err, firstLine(complaint.Bytes()))
	}
	return seeds, err
}

// behind puts a separator before a text that is not empty.
func behind(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// firstLine is the first line of what a program printed, shortened.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return shortened(line)
}
