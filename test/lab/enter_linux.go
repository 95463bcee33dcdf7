// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A program that uses the lab runs three times over:
//
//	outer   started by the user; prepares what needs the machine's own network,
//	        starts init in new namespaces, and takes it down when it must end
//	init    process 1 of the new process namespace: mounts what has to be
//	        private, starts inner, reaps orphans; when it ends the kernel
//	        kills everything below it
//	inner   the program itself; Enter returns here
//
// It runs once more as process 1 of each [Machine].
const stageVariable = "FLANNELD_LAB_STAGE"

// Root is the private scratch directory of the lab, on a tmpfs that no one
// outside sees. The path is short because Unix socket paths are (108 bytes).
const Root = "/run/lab"

// Enter moves the running program into namespaces of its own by executing it
// again, and returns only there. prepare runs before that, on the machine's
// own network, and returns environment variables for the inner run. Without
// root Enter ends the program with status 1: a test that can't run has failed.
//
// Call it first thing in main or TestMain, on the main goroutine.
func Enter(prepare func() ([]string, error)) {
	switch os.Getenv(stageVariable) {
	case "":
		os.Exit(outer(prepare))
	case "init":
		os.Exit(initProcess())
	case machineStage:
		os.Exit(machineProcess())
	}
	os.Unsetenv(stageVariable)
	if err := rememberHome(); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "lab:", err)
	os.Exit(1)
}

// outer prepares, runs the rest in new namespaces and returns its exit status.
func outer(prepare func() ([]string, error)) int {
	if os.Geteuid() != 0 {
		fatal(errors.New("this needs root, for network namespaces; run it with sudo"))
	}
	env, err := prepare()
	if err != nil {
		fatal(err)
	}
	removeStaleCgroups()

	// Pdeathsig follows the thread that started the child, so keep it.
	runtime.LockOSThread()
	cmd := selfCommand("init", append(env, cgroupVariable+"="+cgroupName(os.Getpid())))
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		fatal(fmt.Errorf("start in new namespaces: %w", err))
	}
	stop := make(chan os.Signal, 4)
	signal.Notify(stop, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	orphaned := watchParent(os.Getppid())

	var status int
	select {
	case err = <-done:
		status = exitStatus(err)
	case sig := <-stop:
		cmd.Process.Kill()
		<-done
		status = 128 + int(sig.(unix.Signal))
	case <-orphaned:
		cmd.Process.Kill()
		<-done
		status = 1
	}
	removeCgroup(cgroupName(os.Getpid()))
	return status
}

// selfCommand executes this program again, for the given stage.
func selfCommand(stage string, env []string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, stageVariable+"="+stage)
	return cmd
}

// watchParent closes the channel when the process that started us is gone, as
// after `kill -9` of go test: no process waits for the result then.
func watchParent(parent int) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		for os.Getppid() == parent {
			time.Sleep(300 * time.Millisecond)
		}
		close(gone)
	}()
	return gone
}

// initProcess is process 1. It does not use os/exec's Wait, because it has to
// reap every orphan, including unknown ones.
func initProcess() int {
	if err := privateMounts(); err != nil {
		fatal(err)
	}
	runtime.LockOSThread()
	cmd := selfCommand("inner", []string{"TMPDIR=" + filepath.Join(Root, "tmp")})
	if err := cmd.Start(); err != nil {
		fatal(fmt.Errorf("start inside: %w", err))
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			fatal(fmt.Errorf("wait for children: %w", err))
		}
		if pid != cmd.Process.Pid {
			continue
		}
		if status.Signaled() {
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}

// privateMounts gives the lab its own /proc and /run, and its own place for BPF
// programs that outlive a daemon. Otherwise /sys stays the machine's: a dockerd
// inside must see the cgroups that exist.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700"); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("mount /sys/fs/bpf: %w", err)
	}
	for _, dir := range []string{"/run/netns", "/run/lock", Root, filepath.Join(Root, "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(Root, "tmp"), 0o1777)
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(unix.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return exit.ExitCode()
	}
	return 1
}

// Containers get their cgroups below one name for each run, which outer
// removes.
const (
	cgroupVariable = "FLANNELD_LAB_CGROUP"
	cgroupPrefix   = "flanneld-lab-"
)

// Cgroup is the name below which containers of this run get their cgroups.
func Cgroup() string { return os.Getenv(cgroupVariable) }

// cgroupName is unique among runs: process IDs are so only in their namespace.
func cgroupName(pid int) string { return CgroupPrefix() + strconv.Itoa(pid) }

// CgroupPrefix is what the names of all cgroups begin with that programs of
// this process namespace make for their labs.
func CgroupPrefix() string { return cgroupPrefix + processNamespace() + "-" }

// processNamespace is the inode of the namespace that this process lives in.
func processNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid") // pid:[4026531836]
	if err != nil {
		return "0"
	}
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// removeStaleCgroups clears what a run that was killed outright left behind.
func removeStaleCgroups() {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		prefix := CgroupPrefix()
		found, _ := filepath.Glob(pattern + prefix + "*")
		for _, dir := range found {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
			if err == nil && unix.Kill(pid, 0) == unix.ESRCH {
				removeCgroup(filepath.Base(dir))
			}
		}
	}
}

// removeCgroup removes the (by now empty) directories of one run.
func removeCgroup(name string) {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		roots, _ := filepath.Glob(pattern + name)
		for _, root := range roots {
			var dirs []string
			filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for i := len(dirs) - 1; i >= 0; i-- { // deepest first
				os.Remove(dirs[i])
			}
		}
	}
}
