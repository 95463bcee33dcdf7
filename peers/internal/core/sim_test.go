package core

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flanneld/peers/internal/record"
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
func asked() *damage {
	if *simLiars {
		return &damage{strain: lying}
	}
	return nil
}

// played is how a schedule came out.
type played struct {
	broken string
	hash   uint64
	tally  tally
	steps  steps
}

func playSeed(seed uint64, nodes int, d *damage) played {
	p := newPlan(seed, nodes)
	p.w.damage = d
	if d != nil && d.strain != nil {
		d.strain(p)
	}
	broken := p.play()
	return played{broken, p.w.trace.hash, p.w.tally, p.w.steps}
}

// found is what a search has come to.
type found struct {
	schedules int
	seed      uint64 // the lowest failing one of those played
	broken    string
	hash      uint64 // of all runs
	tally     tally
	steps     steps
}

// search plays schedules on all processors, until one breaks a promise or time
// is up.
func search(first uint64, runs, nodes int, bound time.Duration, d *damage) found {
	var (
		next    atomic.Int64
		mu      sync.Mutex
		workers sync.WaitGroup
		end     = time.Now().Add(bound)
		f       = found{seed: ^uint64(0)}
	)
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // a schedule needs little, and throws it away soon
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				over := f.broken != "" || int(i) >= runs || time.Now().After(end)
				mu.Unlock()
				if over {
					return
				}
				seed := first + uint64(i)
				r := playSeed(seed, nodes, d)
				mu.Lock()
				f.add(seed, &r)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return f
}

// add takes in a schedule; in which order they come does not matter.
func (f *found) add(seed uint64, r *played) {
	f.schedules++
	f.hash ^= record.Mix(r.hash ^ seed)
	f.tally.add(&r.tally)
	f.steps.add(&r.steps)
	if r.broken != "" && seed < f.seed {
		f.seed, f.broken = seed, r.broken
	}
}

func replayCommand(seed uint64, nodes int) string {
	if nodes > 0 {
		return fmt.Sprintf("make sim SEED=%d NODES=%d", seed, nodes)
	}
	return fmt.Sprintf("make sim SEED=%d", seed)
}

// TestSearch is `make sim RUNS=...`.
func TestSearch(t *testing.T) {
	if *simRuns == 0 {
		return
	}
	begin := time.Now()
	f := search(*simSeed, *simRuns, *simNodes, 1000*time.Hour, asked())
	took := time.Since(begin)
	f.tally.print(os.Stdout)
	fmt.Printf("hash of the runs %016x\n", f.hash)
	fmt.Printf("%d schedules in %.1f s: %.0f schedules/s on %d processors\n",
		f.schedules, took.Seconds(), float64(f.schedules)/took.Seconds(), runtime.GOMAXPROCS(0))
	if f.broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", f.seed, f.broken, replayCommand(f.seed, *simNodes))
	}
}

// TestReplay is `make sim SEED=...`.
func TestReplay(t *testing.T) {
	if *simRuns > 0 || *simSeed == 0 || *simNodes >= 100 {
		return
	}
	p := newPlan(*simSeed, *simNodes)
	p.w.trace.out = os.Stdout
	if *simLiars {
		lying(p)
	}
	broken := p.play()
	fmt.Printf("hash of the run %016x\n", p.w.trace.hash)
	if broken != "" {
		fmt.Print(p.w.dump())
		t.Fatalf("seed %d breaks promise %s", *simSeed, broken)
	}
}

// TestNoPromiseIsBroken plays as many schedules as fit into some seconds.
func TestNoPromiseIsBroken(t *testing.T) {
	f := search(1, 3000, 0, 6*time.Second, nil)
	if f.broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", f.seed, f.broken, replayCommand(f.seed, 0))
	}
	t.Logf("%d schedules", f.schedules)
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := range uint64(40) {
		if a, b := playSeed(seed, 0, nil), playSeed(seed, 0, nil); a != b {
			t.Fatalf("seed %d: hashes %x and %x", seed, a.hash, b.hash)
		}
	}
}
