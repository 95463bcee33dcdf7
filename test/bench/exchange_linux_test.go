package main

import (
	"runtime"
	"testing"
)

func TestExchangeIsMeasuredWhereThereAreProcessorsToExchange(t *testing.T) {
	got := exchange()
	if alone := runtime.NumCPU() == 1; alone != (got == 0) {
		t.Errorf("an exchange takes %g ns on %d processors", got, runtime.NumCPU())
	}
	if got < 0 || got > 1e9 {
		t.Errorf("an exchange takes %g ns", got)
	}
}
