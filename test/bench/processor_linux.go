// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
)

// processorTime is how long all processors of the machine together have been
// busy since it started, in seconds (proc_stat(5); 100 ticks a second).
func processorTime() (float64, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return busyTime(string(data))
}

func busyTime(stat string) (float64, error) {
	var user, nice, system, idle, wait, irq, softirq float64
	if _, err := fmt.Sscanf(stat, "cpu %g %g %g %g %g %g %g", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("read processor times: %w", err)
	}
	return (user + nice + system + irq + softirq) / 100, nil
}

// memory is the resident memory of a process, in bytes.
type memory struct{ resident, highest float64 }

func memoryOf(pid int) (m memory, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("the daemon has ended: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		var kilobytes float64
		fmt.Sscan(value, &kilobytes)
		switch key {
		case "VmRSS":
			m.resident = kilobytes * 1024
		case "VmHWM":
			m.highest = kilobytes * 1024
		}
	}
	return m, nil
}
