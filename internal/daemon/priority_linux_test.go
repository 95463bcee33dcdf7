package daemon

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The thread ends with the goroutine that stays locked to it.
func TestHurryComesAndGoes(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if !hurry(true) {
			t.Log("not allowed here")
			return
		}
		during, err := unix.SchedGetAttr(0, 0)
		if err != nil || during.Policy != unix.SCHED_RR || during.Priority != 1 {
			t.Errorf("urgent: %+v, %v", during, err)
		}
		if !hurry(false) {
			t.Error("not an ordinary thread again")
		}
		after, err := unix.SchedGetAttr(0, 0)
		if err != nil || after.Policy != before.Policy || after.Nice != before.Nice {
			t.Errorf("%+v, before %+v, %v", after, before, err)
		}
	}()
	<-done
}
