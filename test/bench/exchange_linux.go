// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// exchanges is how often a cache line goes there and back in one series,
	// and goes is the number of series. The shortest series counts, because
	// other programs on these processors disturb some series.
	exchanges = 400
	goes      = 7

	// farthest is how many processors the first one is tried with, at most.
	farthest = 16
)

// exchange is how long a cache line takes from the first processor that this
// process may use to another and back, in nanoseconds. It takes the slowest
// processor for the other one. It is 0 if there is no other, or Go may not use
// two at once.
//
// The placement of a virtual machine's processors changes over time. Two
// processors that share a cache take a quarter of the time of two in different
// corners of a chip. Every program that passes packets from one to the other is
// affected.
func exchange() (longest float64) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || runtime.GOMAXPROCS(0) < 2 {
		return 0
	}
	processors := make([]int, 0, farthest)
	for i := 0; len(processors) < cap(processors) && len(processors) < set.Count(); i++ {
		if set.IsSet(i) {
			processors = append(processors, i)
		}
	}
	for i := 1; i < len(processors); i++ {
		shortest := exchangeBetween(processors[0], processors[i])
		for range goes - 1 {
			shortest = min(shortest, exchangeBetween(processors[0], processors[i]))
		}
		longest = max(longest, shortest)
	}
	return longest
}

// exchangeBetween runs two threads, each on one processor, that increment a
// number in turn.
func exchangeBetween(a, b int) float64 {
	var number atomic.Int64
	times := make(chan float64, 2)
	play := func(processor int, mine int64) {
		runtime.LockOSThread() // which ends with the goroutine: no other one inherits its processor
		var set unix.CPUSet
		set.Set(processor)
		unix.SchedSetaffinity(0, &set)
		begin := time.Now()
		for i := mine; i < 2*exchanges; i += 2 {
			for number.Load() != i {
			}
			number.Store(i + 1)
		}
		times <- float64(time.Since(begin))
	}
	go play(b, 1)
	go play(a, 0)
	return min(<-times, <-times) / exchanges // the one that came first waited
}
