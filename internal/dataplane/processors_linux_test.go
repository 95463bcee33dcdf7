// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The runtime asks for the CPUs of the thread that asks: a smaller set there is
// what a smaller one of the process would be. The thread ends with the
// goroutine.
func TestProcessorsFollowTheCPUsOfTheProcess(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var all unix.CPUSet
		if err := unix.SchedGetaffinity(0, &all); err != nil {
			t.Error(err)
			return
		}
		p := Processors{Lanes: 3}
		p.Widen()
		for _, set := range []unix.CPUSet{all, firstOf(all), all} {
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				t.Error(err)
				return
			}
			p.adjust()
			if n, want := runtime.GOMAXPROCS(0), set.Count()+3; n != want {
				t.Errorf("%d processors with %d CPUs, want %d", n, set.Count(), want)
			}
		}
	}()
	<-done
}

// firstOf is the first CPU of a set.
func firstOf(all unix.CPUSet) (one unix.CPUSet) {
	for cpu := range 8 * len(all) * 8 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			return one
		}
	}
	return all
}

func TestProcessorsThatTheEnvironmentSetsStay(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "3")
	Processors{Lanes: 1}.adjust()
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("%d processors, want 3", n)
	}
}
