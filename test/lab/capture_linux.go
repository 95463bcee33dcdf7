// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"os/exec"
	"strings"
	"time"
)

// Capture is the traffic of a device, recorded by tcpdump.
type Capture struct {
	cmd    *exec.Cmd
	output logBuffer
}

// Capture starts writing down what matches the filter, and returns when
// tcpdump listens. It has room for what it cannot write at once: 32 MB.
func (ns *Namespace) Capture(t TB, device, filter string) *Capture {
	t.Helper()
	c := &Capture{cmd: exec.Command("tcpdump", "-U", "-n", "-B", "32768", "-s", "0", "-w", "-", "-i", device, filter)}
	var stderr logBuffer
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &stderr
	if err := ns.Start(c.cmd); err != nil {
		t.Fatalf("%s: start tcpdump: %v (make deps installs it)", ns.Name, err)
	}
	t.Cleanup(func() { c.Stop() })
	Eventually(t, 10*time.Second, "tcpdump to listen", func() error {
		return Expect(strings.Contains(stderr.String(), "listening on"), "it says %q", stderr.String())
	})
	return c
}

// Bytes returns what was captured so far, in pcap's format.
func (c *Capture) Bytes() []byte { return []byte(c.output.String()) }

// Frames returns the frames captured so far, oldest first.
func (c *Capture) Frames() [][]byte {
	const fileHeader, recordHeader = 24, 16
	rest := c.Bytes()
	rest = rest[min(fileHeader, len(rest)):]
	var frames [][]byte
	for len(rest) >= recordHeader {
		n := recordHeader + int(binary.LittleEndian.Uint32(rest[8:])) // the captured length
		if n > len(rest) {
			break // it is just being written
		}
		frames = append(frames, rest[recordHeader:n])
		rest = rest[n:]
	}
	return frames
}

// Stop ends the capture and returns all packets. It may be called again.
func (c *Capture) Stop() []byte {
	c.cmd.Process.Kill()
	c.cmd.Wait()
	return c.Bytes()
}
