// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"os/exec"
	"strings"
	"time"
)

// Monitor writes down what happens to a host's links, addresses and routes.
type Monitor struct {
	cmd    *exec.Cmd
	output logBuffer
	device string
}

// Watch starts watching what the kernel reports about one device.
func (h *Host) Watch(device string) *Monitor {
	h.lab.t.Helper()
	t := h.lab.t
	m := &Monitor{device: device}
	m.cmd = exec.Command("ip", "-4", "-o", "monitor", "link", "address", "route")
	m.cmd.Stdout = &m.output
	var stderr bytes.Buffer
	m.cmd.Stderr = &stderr
	if err := h.Namespace.Start(m.cmd); err != nil {
		t.Fatalf("%s: start ip monitor: %v", h.NodeName, err)
	}
	t.Cleanup(func() { m.Stop() })
	// It listens once it reports a change that is made for it to see.
	Eventually(t, 5*time.Second, "ip monitor to listen", func() error {
		h.Exec(t, "ip", "route", "replace", "192.0.2.1/32", "dev", "lo")
		h.Exec(t, "ip", "route", "delete", "192.0.2.1/32", "dev", "lo")
		return Expect(strings.Contains(m.output.String(), "192.0.2.1"), "nothing reported: %s", stderr.String())
	})
	return m
}

// Stop ends the watch. It returns the lines that report that the device, or one
// of its addresses or routes, went away or down.
func (m *Monitor) Stop() []string {
	m.cmd.Process.Kill()
	m.cmd.Wait()
	var gone []string
	for line := range strings.Lines(m.output.String()) {
		if !strings.Contains(line, m.device) {
			continue
		}
		down := strings.Contains(line, "<") && !strings.Contains(line, ",UP") && !strings.Contains(line, "<UP")
		if strings.HasPrefix(line, "Deleted") || strings.HasPrefix(line, "[LINK]Deleted") || down {
			gone = append(gone, strings.TrimSpace(line))
		}
	}
	return gone
}

// Saw reports whether a line so far contains the text.
func (m *Monitor) Saw(text string) bool { return strings.Contains(m.output.String(), text) }
