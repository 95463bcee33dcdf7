// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// patienceVariable has by how much longer every wait of the lab may last on a
// machine that is so much slower: an emulated one. A whole number.
const patienceVariable = "FLANNELD_LAB_PATIENCE"

// patience is what the variable says; 1 where it says nothing.
var patience = sync.OnceValue(func() time.Duration {
	n, err := strconv.Atoi(os.Getenv(patienceVariable))
	if err != nil {
		return 1
	}
	return time.Duration(max(n, 1))
})

// TB is what the lab needs of a test: *testing.T satisfies it, and the
// programs that are no tests bring a small one of their own ([Program]).
// Fatalf must not return.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Eventually calls try every 50 ms until it returns nil. If that has not
// happened within the limit, it fails the test with the last error. what names
// the expected state: "the route to 10.244.7.0/24 is there".
func Eventually(t TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := Within(limit, try); err != nil {
		t.Fatalf("%s: not within %v: %v", what, limit, err)
	}
}

// Within is [Eventually] for callers that go on after a failure: it returns
// nil, or the last error when the limit has passed. Where the machine is said
// to be slower (FLANNELD_LAB_PATIENCE), so many times the limit.
func Within(limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit * patience())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		<-tick.C
	}
}

// Expect turns a condition into the error that [Eventually] wants.
func Expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
