// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// boot starts the system in qemu and gives every line of its tests to each. It
// returns when the machine is off, which has to be within the limit. It also
// returns the processor time that the machine has used.
func (s system) boot(work, disk string, limit time.Duration, each func(line string)) (used time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	console := filepath.Join(work, "console.log")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072",
		"-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot",
		"-kernel", s.kernel(), "-initrd", s.initrd(),
		"-append", "root=/dev/vda rw init=/sbin/start fsck.mode=skip console=ttyS0 panic=-1 loglevel=5 mitigations=off no_timer_check watchdog_thresh=60 softlockup_panic=1",
		"-drive", "file="+s.disk()+",if=virtio,format=raw,snapshot=on",
		"-drive", "file="+disk+",if=virtio,format=raw,snapshot=on",
		"-serial", "file:"+console, "-serial", "stdio")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start qemu (make deps installs it): %w", err)
	}
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		each(strings.TrimRight(lines.Text(), "\r"))
	}
	err = cmd.Wait()
	used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	switch {
	case ctx.Err() != nil:
		return used, fmt.Errorf("the machine was not off within %v; its console says:\n%s", limit, tail(console))
	case err != nil:
		return used, fmt.Errorf("qemu: %w: %s\n%s", err, complaints.String(), tail(console))
	}
	return used, nil
}

// tail returns the last lines of a file.
func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
