// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestCollectEarlyObeysTheEnvironment(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "80")
	CollectEarly()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("with GOGC in the environment: %d, want it untouched", got)
	}
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
	CollectEarly()
	if got := debug.SetGCPercent(100); got != growth {
		t.Errorf("without: %d, want %d", got, growth)
	}
}
