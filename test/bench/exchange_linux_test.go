// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"testing"
)

func TestExchangeIsMeasuredWhereThereAreProcessorsToExchange(t *testing.T) {
	got := exchange()
	processors := min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if alone := processors == 1; alone != (got == 0) {
		t.Errorf("an exchange takes %g ns on %d processors", got, processors)
	}
	if got < 0 || got > 1e9 {
		t.Errorf("an exchange takes %g ns", got)
	}
}
