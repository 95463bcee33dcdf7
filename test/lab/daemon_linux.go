// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Daemon is a `flanneld run` that was started, running or ended.
type Daemon struct {
	host   *Host
	cmd    *exec.Cmd
	log    logBuffer
	ready  chan struct{} // closed at READY=1
	ended  chan struct{} // closed when the process is gone; then status is set
	status int
	told   atomic.Value // string: the last STATUS=
}

var daemons atomic.Int64

// Start starts `flanneld run` with the host's directories and name, and does
// not wait for anything. The daemon is killed when the test ends.
func (h *Host) Start(args ...string) *Daemon {
	h.lab.t.Helper()
	return h.StartWith(nil, args...)
}

// join is Start of a daemon that joins by another host.
func (h *Host) join(seed *Host, args []string) *Daemon {
	h.lab.t.Helper()
	return h.Start(append([]string{"--join", seed.Addr.String()}, args...)...)
}

// StartWith is Start with further variables of the environment, NAME=VALUE.
func (h *Host) StartWith(environment []string, args ...string) *Daemon {
	h.lab.t.Helper()
	cmd := h.runCommand(args...)
	cmd.Env = append(cmd.Env, environment...)
	return h.StartCommand(cmd)
}

func (h *Host) runCommand(args ...string) *exec.Cmd {
	all := append([]string{"run", "--state-dir", h.StateDir, "--run-dir", h.RunDir, "--node-name", h.NodeName}, args...)
	cmd := exec.Command(h.lab.Binary, all...)
	cmd.Env = cleanEnvironment()
	return cmd
}

// StartCommand starts a daemon from a command of the caller's making.
func (h *Host) StartCommand(cmd *exec.Cmd) *Daemon {
	h.lab.t.Helper()
	t := h.lab.t
	d, err := h.launch(cmd)
	if err != nil {
		t.Fatalf("%s: start flanneld: %v", h.NodeName, err)
	}
	t.Cleanup(func() {
		d.Kill()
		if t.Failed() {
			t.Logf("---- log of %s (%s)\n%s", h.NodeName, strings.Join(cmd.Args[1:], " "), d.log.Tail(60))
		}
	})
	return d
}

// Launch is [Host.Start] for loops of thousands: the caller ends the daemon,
// and its log is kept as long as the caller keeps the Daemon.
func (h *Host) Launch(args ...string) (*Daemon, error) { return h.launch(h.runCommand(args...)) }

// launch starts a daemon. It stands in for systemd: READY=1 arrives on a
// socket of its own.
func (h *Host) launch(cmd *exec.Cmd) (*Daemon, error) {
	mode, err := shortcutMode(cmd)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(h.lab.dir, fmt.Sprintf("notify%d", daemons.Add(1)))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	os.Chmod(socket, 0o777) // also for daemons that are started without root
	d := &Daemon{host: h, cmd: cmd, ready: make(chan struct{}), ended: make(chan struct{})}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket)
	if mode == shortcutOff {
		cmd.Env = append(cmd.Env, "FLANNELD_SHORTCUT=off")
	}
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	if err := h.Namespace.Start(cmd); err != nil {
		notify.Close()
		return nil, err
	}
	go d.listen(notify)
	go func() {
		d.status = exitStatus(cmd.Wait())
		notify.Close()
		close(d.ended)
	}()
	if mode == shortcutSwitch {
		go d.keepSwitching()
	}
	h.Daemon = d
	return d, nil
}

// listen reads notifications until the socket is closed.
func (d *Daemon) listen(notify *net.UnixConn) {
	buf := make([]byte, 4096)
	for once := new(sync.Once); ; {
		n, err := notify.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(buf[:n])) {
			switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); {
			case name == "READY" && value == "1":
				once.Do(func() { close(d.ready) })
			case name == "STATUS":
				d.told.Store(value)
			}
		}
	}
}

// PID is the daemon's process ID.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Told is the last STATUS= that the daemon has sent to its service manager.
func (d *Daemon) Told() string {
	text, _ := d.told.Load().(string)
	return text
}

// Log returns everything the daemon has written.
func (d *Daemon) Log() string { return d.log.String() }

// Ready is closed when the daemon has reported READY=1.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// Gone is closed when the process is gone.
func (d *Daemon) Gone() <-chan struct{} { return d.ended }

// Ended reports whether the process is gone.
func (d *Daemon) Ended() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// WaitReady waits until the daemon has reported that it is ready.
func (d *Daemon) WaitReady(limit time.Duration) *Daemon {
	d.host.lab.t.Helper()
	select {
	case <-d.ready:
	case <-d.ended:
		d.host.lab.t.Fatalf("%s: flanneld ended with status %d before it was ready:\n%s", d.host.NodeName, d.status, d.log.Tail(20))
	case <-time.After(limit * patience()):
		d.host.lab.t.Fatalf("%s: flanneld not ready within %v:\n%s", d.host.NodeName, limit, d.log.Tail(30))
	}
	return d
}

// WaitEnd waits for the process to end by itself and returns its exit status.
func (d *Daemon) WaitEnd(limit time.Duration) int {
	d.host.lab.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(limit * patience()):
		d.host.lab.t.Fatalf("%s: flanneld still runs after %v:\n%s", d.host.NodeName, limit, d.log.Tail(30))
	}
	return d.status
}

// WaitLog waits until the log contains the text, without regard to case.
func (d *Daemon) WaitLog(text string, limit time.Duration) {
	d.host.lab.t.Helper()
	Eventually(d.host.lab.t, limit, fmt.Sprintf("%q in the log of %s", text, d.host.NodeName), func() error {
		return Expect(strings.Contains(strings.ToLower(d.Log()), strings.ToLower(text)), "the log says:\n%s", d.log.Tail(15))
	})
}

// Signal sends a signal to the process.
func (d *Daemon) Signal(sig unix.Signal) { d.cmd.Process.Signal(sig) }

// Stop asks the daemon to stop and waits for it. It fails the test when that
// takes more than the promised 5 s (and a moment for a busy machine).
func (d *Daemon) Stop() int {
	d.host.lab.t.Helper()
	d.Signal(unix.SIGTERM)
	return d.WaitEnd(7 * time.Second)
}

// Kill ends the process as kill -9 does, and waits until it is gone. It may
// be called again.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill()
	<-d.ended
}

// Usage is what a process occupies and has used.
type Usage struct {
	Descriptors int
	Memory      int           // resident, in KiB
	CPU         time.Duration // since its start, in steps of 10 ms
}

// Usage reads the process's figures from /proc.
func (d *Daemon) Usage() (Usage, error) {
	var u Usage
	proc := fmt.Sprintf("/proc/%d/", d.PID())
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		return u, err
	}
	u.Descriptors = len(fds)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &u.Memory)
		}
	}
	times, err := ProcessorTime(d.PID())
	u.CPU = times.Own
	return u, err
}

// logBuffer collects output; it may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// Tail returns the last n lines.
func (b *logBuffer) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
