// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// What lengthens the tests, or repeats one: environment variables, which
// `make torture` sets.
const (
	seedVariable   = "FLANNELD_FAULTS_SEED"   // of everything random
	killsVariable  = "FLANNELD_FAULTS_KILLS"  // how often a daemon is killed
	pausesVariable = "FLANNELD_FAULTS_PAUSES" // how often one is stopped and continued
	longestSetting = "FLANNELD_FAULTS_PAUSE"  // and for how long at most, in seconds
	cutVariable    = "FLANNELD_FAULTS_CUT"    // how long a cut lasts, in seconds
)

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: not a positive number", name, text)
	}
	return n
}

// seed is the seed asked for, or another one each time; it is logged. It
// decides the faults and their order. It does not decide how the machine
// schedules them.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := uint64(setting(t, seedVariable, int(time.Now().UnixNano()>>10&0x7fffffff)))
	t.Logf("%s=%d", seedVariable, s)
	return s
}

// randomness makes the n-th source of a seed: one for each goroutine.
func randomness(seed uint64, n int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(n))) }

// between picks a duration.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}
