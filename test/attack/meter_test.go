// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"flanneld/test/lab"
)

// Meter watches what a process uses while it is attacked.
type Meter struct {
	pid     int
	began   time.Time
	cpu     lab.Times // at the beginning
	rest    int64     // resident memory at the beginning, bytes
	stop    chan struct{}
	stopped sync.WaitGroup

	mu   sync.Mutex
	peak int64 // resident memory, bytes
}

// Cost is what a process used between two moments.
type Cost struct {
	Rest, Peak int64         // resident memory, bytes
	CPU        time.Duration // user and system
	Wall       time.Duration
}

// Grown is how far memory rose above its level at the beginning, in MB.
func (c Cost) Grown() float64 { return float64(c.Peak-c.Rest) / 1e6 }

// Cores is the processor time per second of time.
func (c Cost) Cores() float64 { return c.CPU.Seconds() / c.Wall.Seconds() }

func (c Cost) String() string {
	return fmt.Sprintf("memory %.1f -> %.1f MB, %.3f of a core over %.1f s",
		float64(c.Rest)/1e6, float64(c.Peak)/1e6, c.Cores(), c.Wall.Seconds())
}

// Watch begins to measure a daemon, ten times a second.
func Watch(t lab.TB, d *lab.Daemon) *Meter {
	t.Helper()
	m := &Meter{pid: d.PID(), began: time.Now(), stop: make(chan struct{})}
	var err error
	if m.rest, err = resident(m.pid); err == nil {
		m.cpu, err = lab.ProcessorTime(m.pid)
	}
	if err != nil {
		t.Fatalf("measure the daemon: %v", err)
	}
	m.peak = m.rest
	m.stopped.Go(func() {
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-m.stop:
				tick.Stop()
				return
			case <-tick.C:
				m.look()
			}
		}
	})
	return m
}

func (m *Meter) look() {
	if now, err := resident(m.pid); err == nil {
		m.mu.Lock()
		m.peak = max(m.peak, now)
		m.mu.Unlock()
	}
}

// Stop ends the measurement.
func (m *Meter) Stop(t lab.TB) Cost {
	t.Helper()
	close(m.stop)
	m.stopped.Wait()
	m.look()
	cpu, err := lab.ProcessorTime(m.pid)
	if err != nil {
		t.Fatalf("measure the daemon: %v", err)
	}
	return Cost{Rest: m.rest, Peak: m.peak, CPU: cpu.Own - m.cpu.Own, Wall: time.Since(m.began)}
}

// resident is the resident memory of a process, in bytes.
func resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of %d: %q", pid, b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
