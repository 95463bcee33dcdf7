// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestMachineLosesMemoryNotDisk: a machine of the lab has a disk of its own.
// Its processes end with its power, and what is in /run is gone.
func TestMachineLosesMemoryNotDisk(t *testing.T) {
	t.Parallel()
	m := lab.New(t).Host().Machine()
	if name := strings.TrimSpace(m.Exec(t, "hostname")); name != "host1" {
		t.Errorf("its name is %q", name)
	}
	m.Exec(t, "sh", "-ec", "echo disk >/etc/lab-machine; echo memory >/run/lab-machine")
	if exists("/etc/lab-machine") {
		t.Error("what the machine wrote is outside")
	}
	if text := read(t, m.Path("/etc/lab-machine")); text != "disk\n" {
		t.Errorf("the lab reads %q", text)
	}
	sleeper := exec.Command("sleep", "1000")
	if err := m.Start(sleeper); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sleeper.Wait() }()
	if !exists(m.Path("/proc/2")) {
		t.Errorf("no second process: %s", m.Exec(t, "ls", "/proc"))
	}
	start := time.Now()
	m.PowerOff()
	if err := <-ended; err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("the process ended after %v: %v", time.Since(start), err)
	}
	m.PowerOn()
	if text := m.Exec(t, "cat", "/etc/lab-machine"); text != "disk\n" {
		t.Errorf("the disk has %q", text)
	}
	if m.Run(t, "cat", "/run/lab-machine").Status == 0 {
		t.Error("memory outlived the power cut")
	}
	m.PowerOff()
	m.Wipe()
	m.PowerOn()
	if m.Run(t, "cat", "/etc/lab-machine").Status == 0 {
		t.Error("the file is on a wiped disk")
	}
}
