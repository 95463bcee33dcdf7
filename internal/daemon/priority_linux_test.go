package daemon

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/route"
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
		for _, u := range []route.Urgency{route.Prompt, route.Foremost, route.Prompt} {
			if !hurry(u) {
				t.Log("not allowed here")
				return
			}
			during, err := unix.SchedGetAttr(0, 0)
			if err != nil || during.Policy != unix.SCHED_RR || during.Priority != uint32(u) {
				t.Errorf("urgency %d: %+v, %v", u, during, err)
			}
		}
		if !hurry(route.Ordinary) {
			t.Error("not an ordinary thread again")
		}
		after, err := unix.SchedGetAttr(0, 0)
		if err != nil || after.Policy != before.Policy || after.Nice != before.Nice {
			t.Errorf("%+v, before %+v, %v", after, before, err)
		}
	}()
	<-done
}
