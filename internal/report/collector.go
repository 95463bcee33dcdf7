// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Rhythm of a collector. A node of a small network is asked every 3 s. In a
// large one the rate stays the same, and a turn takes longer: 5 s at 60 nodes,
// 83 s at 1,000. A report of a small network is one or two datagrams each way,
// of 60 nodes three or four.
const (
	turnTime = 3 * time.Second
	askRate  = 12 // nodes a second
	atOnce   = 8  // questions under way; a node that is silent takes a second
	askTime  = 10 * time.Second
	idleTime = 200 * time.Millisecond // without a node to ask
)

// Asked is what became of the last question to a node.
type Asked struct {
	Number uint64 // rises with each answer, over all nodes
	// Report is the last one that came, nil for none yet, at the time At.
	Report *Report
	At     time.Time
	Err    error // why the last question has no answer
}

// Collector asks the other nodes for their reports in turn, while it runs.
type Collector struct {
	// Nodes lists the IDs of the nodes to ask. The list is not changed.
	Nodes func() []string
	// Ask returns an encoded report.
	Ask func(ctx context.Context, id string) ([]byte, error)

	mu     sync.Mutex
	number uint64
	all    map[string]Asked
}

// Run asks until ctx ends. What it has got before stays.
func (c *Collector) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, atOnce)
	for ctx.Err() == nil {
		nodes := slices.Clone(c.Nodes())
		c.keep(nodes)
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		if len(nodes) == 0 {
			pause(ctx, idleTime)
		}
		for _, id := range nodes {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			asking.Go(func() {
				c.ask(ctx, id)
				<-slots
			})
			pause(ctx, gap(len(nodes)))
		}
	}
}

// gap is the time between two questions in a turn of so many.
func gap(nodes int) time.Duration {
	return max(turnTime/time.Duration(nodes), time.Second/askRate)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// keep forgets what is known of other nodes than these.
func (c *Collector) keep(nodes []string) {
	kept := make(map[string]Asked, len(nodes))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range nodes {
		if a, ok := c.all[id]; ok {
			kept[id] = a
		}
	}
	c.all = kept
}

func (c *Collector) ask(ctx context.Context, id string) {
	bounded, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	b, err := c.Ask(bounded, id)
	if ctx.Err() != nil {
		return
	}
	var r Report
	if err == nil {
		r, err = Decode(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	a := c.all[id]
	a.Number, a.Err = c.number, err
	if err == nil {
		a.Report, a.At = &r, time.Now()
	}
	c.all[id] = a
}

// Since returns what has come after a number, by node. Reports are shared, and
// must not be changed.
func (c *Collector) Since(number uint64) map[string]Asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := map[string]Asked{}
	for id, a := range c.all {
		if a.Number > number {
			news[id] = a
		}
	}
	return news
}
