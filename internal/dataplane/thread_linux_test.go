// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"runtime"
	"testing"
	"time"

	"flanneld/route"
)

// Another thread's time and priority can be read while it works.
func TestThreadsAreSeenFromOutside(t *testing.T) {
	id, end, ended := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the thread ends with the goroutine
		if !setPriority(route.PriorityPlain) {
			t.Error("cannot be a plain thread")
		}
		id <- threadID()
		for working := true; working; {
			select {
			case <-end:
				working = false
			default:
			}
		}
	}()
	tid := <-id
	before := threadOf(tid)
	for deadline := time.Now().Add(10 * time.Second); threadOf(tid).CPU-before.CPU < 10*time.Millisecond; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the thread works, and %+v became %+v", before, threadOf(tid))
		}
	}
	if before.Policy != "batch" || before.Nice != 0 {
		t.Errorf("%+v", before)
	}
	close(end)
	<-ended
}

// No thread has an ID above the largest value of kernel.pid_max.
func TestAThreadThatIsGoneIsNotKnown(t *testing.T) {
	if got := threadOf(1 << 22); got != (Thread{}) {
		t.Errorf("%+v", got)
	}
}
