// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// Flags of the simulator; `make sim` sets them.
var (
	simSeed  = flag.Uint64("seed", 0, "the schedule to replay, or the first of a search")
	simNodes = flag.Int("nodes", 0, "hosts in the network; 0: drawn from the seed")
	simRuns  = flag.Int("runs", 0, "schedules to search")
	simYear  = flag.Bool("year", false, "let a year pass in which a hundred hosts a day are replaced")
	simLiars = flag.Bool("liars", false, "schedules with a stranger and a lying member")
)

// asked is what the flags ask to be different, nil for nothing.
func asked() *Damage {
	if *simLiars {
		return &Damage{Strain: Lying}
	}
	return nil
}

// TestSearch is `make sim RUNS=...`.
func TestSearch(t *testing.T) {
	if *simRuns == 0 {
		return
	}
	begin := time.Now()
	f := Search(*simSeed, *simRuns, *simNodes, 1000*time.Hour, asked())
	took := time.Since(begin)
	f.Tally.Print(os.Stdout)
	fmt.Printf("hash of the runs %016x\n", f.Hash)
	fmt.Printf("%d schedules in %.1f s: %.0f schedules/s on %d processors\n",
		f.Schedules, took.Seconds(), float64(f.Schedules)/took.Seconds(), runtime.GOMAXPROCS(0))
	if f.Broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", f.Seed, f.Broken, ReplayCommand(f.Seed, *simNodes))
	}
}

// TestReplay is `make sim SEED=...`.
func TestReplay(t *testing.T) {
	if *simRuns > 0 || *simSeed == 0 || *simNodes >= 100 {
		return
	}
	r := Replay(*simSeed, *simNodes, asked(), os.Stdout)
	fmt.Printf("hash of the run %016x\n", r.Hash)
	if r.Broken != "" {
		fmt.Print(r.Dump)
		t.Fatalf("seed %d breaks promise %s", *simSeed, r.Broken)
	}
}

// TestNoPromiseIsBroken plays as many schedules as fit into some seconds.
func TestNoPromiseIsBroken(t *testing.T) {
	f := Search(1, 3000, 0, 6*time.Second, nil)
	if f.Broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", f.Seed, f.Broken, ReplayCommand(f.Seed, 0))
	}
	t.Logf("%d schedules", f.Schedules)
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := range uint64(40) {
		if a, b := Play(seed, 0, nil), Play(seed, 0, nil); a != b {
			t.Fatalf("seed %d: hashes %x and %x", seed, a.Hash, b.Hash)
		}
	}
}
