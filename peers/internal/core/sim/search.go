// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/peers/internal/record"
)

// Played is how a schedule came out.
type Played struct {
	Broken string // the promise that was broken; "": none
	Hash   uint64 // of all that happened
	Tally  Tally
	Steps  Steps
	Dump   string // what all hosts think, in a replay that breaks a promise
}

// Play plays the schedule of a seed. Nodes, where not zero, is its size;
// damage is what is broken on purpose, nil for nothing.
func Play(seed uint64, nodes int, d *Damage) Played { return Replay(seed, nodes, d, nil) }

// Replay is Play, and writes what happens to out, where that is not nil.
func Replay(seed uint64, nodes int, d *Damage, out io.Writer) Played {
	p := newPlan(seed, nodes)
	p.w.trace.out = out
	p.w.damage = d
	if d != nil && d.Strain != nil {
		d.Strain(p)
	}
	r := Played{Broken: p.play(), Hash: p.w.trace.hash, Tally: p.w.tally, Steps: p.w.steps}
	if out != nil && r.Broken != "" {
		r.Dump = p.w.Dump()
	}
	return r
}

// Found is what a search has come to.
type Found struct {
	Schedules int
	Seed      uint64 // the lowest failing one
	Broken    string // its broken promise; "": none
	Hash      uint64 // of all runs
	Tally     Tally
	Steps     Steps
}

// Search plays schedules on all processors, until one breaks a promise or time
// is up.
func Search(first uint64, runs, nodes int, bound time.Duration, d *Damage) Found {
	var (
		next    atomic.Int64
		mu      sync.Mutex
		workers sync.WaitGroup
		end     = time.Now().Add(bound)
		f       = Found{Seed: ^uint64(0)}
	)
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // a schedule needs little, and throws it away soon
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				over := f.Broken != "" || int(i) >= runs || time.Now().After(end)
				mu.Unlock()
				if over {
					return
				}
				seed := first + uint64(i)
				r := Play(seed, nodes, d)
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
func (f *Found) add(seed uint64, r *Played) {
	f.Schedules++
	f.Hash ^= record.Mix(r.Hash ^ seed)
	f.Tally.add(&r.Tally)
	f.Steps.add(&r.Steps)
	if r.Broken != "" && seed < f.Seed {
		f.Seed, f.Broken = seed, r.Broken
	}
}

// ReplayCommand is the command that replays a schedule.
func ReplayCommand(seed uint64, nodes int) string {
	if nodes > 0 {
		return fmt.Sprintf("make sim SEED=%d NODES=%d", seed, nodes)
	}
	return fmt.Sprintf("make sim SEED=%d", seed)
}
