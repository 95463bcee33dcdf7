// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"testing"
	"time"
)

func TestTheCoresClockGoesOnWhileTheHostIsSuspended(t *testing.T) {
	slept := 3 * time.Minute
	e := &engine{origin: time.Now(), asleepAtBegin: slept, asleep: func() time.Duration { return slept }}
	if now := e.now(); now >= time.Minute {
		t.Fatalf("%v have passed, of which the host was suspended for none", now)
	}
	slept += 10 * time.Minute
	if now := e.now(); now < 10*time.Minute {
		t.Errorf("%v have passed, and the host was suspended for 10 minutes", now)
	}
}

func TestAHostThatIsAwakeDoesNotSeemToSleep(t *testing.T) {
	before := asleep()
	time.Sleep(50 * time.Millisecond)
	if d := asleep() - before; d > 10*time.Millisecond || d < -10*time.Millisecond {
		t.Errorf("suspended for %v within 50 ms", d)
	}
}
