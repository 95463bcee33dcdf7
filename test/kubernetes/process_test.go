// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// logsVariable names a directory for the logs of all processes.
const logsVariable = "FLANNELD_KUBERNETES_LOGS"

// process is a daemon of the cluster.
type process struct {
	name  string // kubelet of host1
	log   string // its file
	cmd   *exec.Cmd
	ended chan struct{}
}

var processes atomic.Int64

// launch starts a daemon where start starts it. It is killed when the test
// ends. dir is where its log goes, unless the variable names another.
func launch(t *testing.T, dir, name string, start func(*exec.Cmd) error, cmd *exec.Cmd) *process {
	t.Helper()
	if elsewhere := os.Getenv(logsVariable); elsewhere != "" {
		dir = elsewhere
	}
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	p.log = filepath.Join(dir, fmt.Sprintf("%02d-%s.log", processes.Add(1), strings.ReplaceAll(name, " of ", "-")))
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := start(cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() { cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("---- log of %s\n%s", name, p.tail(6))
		}
	})
	return p
}

// kill ends the process as kill -9 does. It may be called again.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// stop asks the process to stop, and kills it after 10 s.
func (p *process) stop() {
	p.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// running is an error when the process has ended by itself.
func (p *process) running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended:\n%s", p.name, p.tail(10))
	default:
		return nil
	}
}

// tail returns the last n lines of the log.
func (p *process) tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
