package main

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// exchanges is how often a cache line goes there and back in one go, and goes
	// how many there are. The shortest counts: whoever else needs one of the
	// processors disturbs some of them.
	exchanges = 400
	goes      = 7

	// farthest is how many processors the first one is tried with, at most.
	farthest = 16
)

// exchange is how long a cache line takes from the first processor that this
// process may use to another and back, in nanoseconds: to the one that it takes
// longest to. It is 0 where there is no other, or Go may not use two at once.
//
// A virtual machine's processors are put now here, now there. Two that share a
// cache take a quarter of the time that two in different corners of a chip take,
// and whatever hands packets from one to the other feels that.
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

// exchangeBetween has two threads, each on one processor, raise a number in turn.
func exchangeBetween(a, b int) float64 {
	var number atomic.Int64
	times := make(chan float64, 2)
	play := func(processor int, mine int64) {
		runtime.LockOSThread() // which ends with the goroutine: nobody inherits its processor
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
