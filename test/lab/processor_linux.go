// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every
// architecture that flanneld runs on.
const clockTick = 10 * time.Millisecond

// Times are user and system time, in steps of 10 ms.
type Times struct {
	Own      time.Duration // of the process
	Children time.Duration // of its children that have ended
}

// ProcessorTime is what a process has used since its start.
func ProcessorTime(pid int) (t Times, err error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	// The name of the program is in parentheses, and can hold spaces. After it
	// come the state as field 3, and utime, stime, cutime and cstime as fields
	// 14 to 17 (proc(5)).
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return t, fmt.Errorf("%s: %q", file, stat)
	}
	for i, of := range []*time.Duration{&t.Own, &t.Own, &t.Children, &t.Children} {
		ticks, err := strconv.ParseUint(fields[11+i], 10, 63)
		if err != nil {
			return t, fmt.Errorf("%s: %w", file, err)
		}
		*of += time.Duration(ticks) * clockTick
	}
	return t, nil
}
