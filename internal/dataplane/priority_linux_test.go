// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/route"
)

// The thread ends with the goroutine that stays locked to it.
func TestPriorityComesAndGoes(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		for _, u := range []route.Priority{route.PriorityBatch, route.PriorityExpress, route.PriorityBatch} {
			if !setPriority(u) {
				t.Log("not allowed here")
				return
			}
			during, err := unix.SchedGetAttr(0, 0)
			if err != nil || during.Policy != unix.SCHED_RR || during.Priority != uint32(u) {
				t.Errorf("priority %d: %+v, %v", u, during, err)
			}
		}
		if !setPriority(route.PriorityNormal) {
			t.Error("not an ordinary thread again")
		}
		after, err := unix.SchedGetAttr(0, 0)
		if err != nil || after.Policy != before.Policy || after.Nice != before.Nice {
			t.Errorf("%+v, before %+v, %v", after, before, err)
		}
	}()
	<-done
}

// A thread without preference is one as any other program has, and gets
// laneNice back where it may have it.
func TestPriorityGivesPreferenceUp(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		raised := unix.Setpriority(unix.PRIO_PROCESS, 0, laneNice) == nil
		for _, test := range []struct {
			priority route.Priority
			policy   uint32
			nice     int32
		}{
			{route.PriorityPlain, unix.SCHED_BATCH, 0},
			{route.PriorityNormal, unix.SCHED_NORMAL, laneNice},
			{route.PriorityPlain, unix.SCHED_BATCH, 0},
			{route.PriorityExpress, unix.SCHED_RR, 0},
			{route.PriorityNormal, unix.SCHED_NORMAL, laneNice},
		} {
			if !setPriority(test.priority) {
				if test.priority <= route.PriorityNormal {
					t.Errorf("priority %d refused", test.priority)
				}
				continue // not allowed here
			}
			attr, err := unix.SchedGetAttr(0, 0)
			if err != nil || attr.Policy != test.policy || raised && test.policy != unix.SCHED_RR && attr.Nice != test.nice {
				t.Errorf("priority %d: %+v, %v", test.priority, attr, err)
			}
		}
	}()
	<-done
}

func TestRealtimeCanBeSwitchedOff(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		s := Settings{Realtime: false}
		for _, u := range []route.Priority{route.PriorityBatch, route.PriorityExpress} {
			if s.setPriority()(u) {
				t.Errorf("priority %d is granted", u)
			}
		}
		if !s.setPriority()(route.PriorityPlain) {
			t.Error("not even an ordinary thread")
		}
		if attr, err := unix.SchedGetAttr(0, 0); err != nil || attr.Policy != unix.SCHED_BATCH {
			t.Errorf("%+v, %v", attr, err)
		}
	}()
	<-done
}

func TestCPUTimeIsTheThreads(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, start := cpuTime(), time.Now()
	time.Sleep(50 * time.Millisecond)
	if slept := cpuTime() - before; slept > 25*time.Millisecond {
		t.Errorf("%v of CPU time in a sleep", slept)
	}
	for cpuTime()-before < 5*time.Millisecond {
		if time.Since(start) > 10*time.Second {
			t.Fatal("a thread that works uses no CPU time")
		}
	}
	if n := testing.AllocsPerRun(100, func() { cpuTime() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
