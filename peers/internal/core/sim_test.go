package core

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Flags of the simulator; `make sim` sets them.
var (
	simSeed  = flag.Uint64("seed", 0, "the schedule to replay, or the first of a search")
	simNodes = flag.Int("nodes", 0, "hosts in the network; 0: drawn from the seed")
	simRuns  = flag.Int("runs", 0, "schedules to search")
)

// played is how a schedule came out.
type played struct {
	broken string
	hash   uint64
	tally  tally
}

func playSeed(seed uint64, nodes int, d *damage) played {
	p := newPlan(seed, nodes)
	p.w.damage = d
	if d != nil && d.strain != nil {
		d.strain(p)
	}
	broken := p.play()
	return played{broken, p.w.trace.hash, p.w.tally}
}

// search plays schedules on all processors, until one breaks a promise or time
// is up; it returns how many it played, and the lowest failing seed of those.
func search(first uint64, runs, nodes int, bound time.Duration, d *damage) (n int, seed uint64, broken string, sum tally) {
	var (
		next, done atomic.Int64
		mu         sync.Mutex
		workers    sync.WaitGroup
		end        = time.Now().Add(bound)
	)
	seed = ^uint64(0)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				over := broken != "" || int(i) >= runs || time.Now().After(end)
				mu.Unlock()
				if over {
					return
				}
				r := playSeed(first+uint64(i), nodes, d)
				done.Add(1)
				mu.Lock()
				sum.add(&r.tally)
				if r.broken != "" && first+uint64(i) < seed {
					seed, broken = first+uint64(i), r.broken
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return int(done.Load()), seed, broken, sum
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
	n, seed, broken, sum := search(*simSeed, *simRuns, *simNodes, 1000*time.Hour, nil)
	took := time.Since(begin)
	sum.print(os.Stdout)
	fmt.Printf("%d schedules in %.1f s: %.0f schedules/s on %d processors\n", n, took.Seconds(), float64(n)/took.Seconds(), runtime.GOMAXPROCS(0))
	if broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", seed, broken, replayCommand(seed, *simNodes))
	}
}

// TestReplay is `make sim SEED=...`.
func TestReplay(t *testing.T) {
	if *simRuns > 0 || *simSeed == 0 || *simNodes >= 100 {
		return
	}
	p := newPlan(*simSeed, *simNodes)
	p.w.trace.out = os.Stdout
	broken := p.play()
	fmt.Printf("hash of the run %016x\n", p.w.trace.hash)
	if broken != "" {
		fmt.Print(p.w.dump())
		t.Fatalf("seed %d breaks promise %s", *simSeed, broken)
	}
}

// TestNoPromiseIsBroken plays as many schedules as fit into some seconds.
func TestNoPromiseIsBroken(t *testing.T) {
	n, seed, broken, _ := search(1, 3000, 0, 8*time.Second, nil)
	if broken != "" {
		t.Fatalf("seed %d breaks promise %s\nreplay: %s", seed, broken, replayCommand(seed, 0))
	}
	t.Logf("%d schedules", n)
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := range uint64(40) {
		if a, b := playSeed(seed, 0, nil), playSeed(seed, 0, nil); a != b {
			t.Fatalf("seed %d: hashes %x and %x", seed, a.hash, b.hash)
		}
	}
}
