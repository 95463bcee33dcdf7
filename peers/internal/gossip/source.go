// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Source finds seeds outside of gossip: an API, a name service, a program.
type Source interface {
	// String names the source as its user does.
	String() string
	// Seeds returns addresses, host[:port], the best one first. It may take
	// seconds, and ends early when ctx does. Its error says what to do.
	Seeds(ctx context.Context) ([]string, error)
}

// Timing of sources. A source is asked again only while no seed answers: an API
// serves all nodes of a network, and each of them asks by itself. With the
// longest pause a thousand nodes ask about 33 times a second.
const (
	sourceFirst = time.Second      // after the first answer; doubled up to sourceMost
	sourceMost  = 30 * time.Second // between two questions
	sourceTime  = 15 * time.Second // for one answer
	sourceTried = 8                // seeds of a source tried in a round
	sourceSeeds = 2000             // addresses taken of one answer
)

// finder is a source, with what it said last. While a round runs, it belongs to
// the round.
type finder struct {
	Source
	seeds []Seed
	err   error
	askAt time.Time
	pause time.Duration
}

var (
	errNothingFound = errors.New("it names no node")
	errNoNetworkYet = errors.New("no node that it names is in a network yet")
)

// some returns a few of the source's seeds: the best one, and others at random.
// The source is asked where that is due.
func (f *finder) some(ctx context.Context) ([]Seed, error) {
	if !time.Now().Before(f.askAt) {
		f.ask(ctx)
	}
	if len(f.seeds) == 0 {
		return nil, f.err
	}
	picked := append([]Seed(nil), f.seeds[:min(len(f.seeds), sourceTried)]...)
	for i := 1; i < len(picked) && len(f.seeds) > sourceTried; i++ {
		j := i + rand.IntN(len(f.seeds)-i)
		f.seeds[i], f.seeds[j] = f.seeds[j], f.seeds[i]
		picked[i] = f.seeds[i]
	}
	return picked, nil
}

// ask asks the source. The seeds that it named before stay while it fails.
func (f *finder) ask(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, sourceTime)
	defer cancel()
	texts, err := f.Seeds(within)
	if ctx.Err() != nil {
		return
	}
	f.pause = min(max(2*f.pause, sourceFirst), sourceMost)
	f.askAt = time.Now().Add(jitter(f.pause))
	var seeds []Seed
	if err == nil {
		seeds, err = ParseSeeds(texts[:min(len(texts), sourceSeeds)])
	}
	switch f.err = err; {
	case err != nil:
	case len(seeds) == 0:
		f.seeds, f.err = nil, errNothingFound
	default:
		f.seeds = seeds
	}
}

// rest lets the next question be soon again: a seed has answered.
func (f *finder) rest() { f.pause = 0 }

// trySource calls seeds of a source, while no other node is up.
func (j *Joiner) trySource(ctx context.Context, s *seedState, up bool) {
	if up {
		return
	}
	seeds, err := s.source.some(ctx)
	if err == nil {
		err = j.joinSome(ctx, seeds)
	}
	if j.founder != nil && errors.Is(err, errNoFounder) {
		err = errNoNetworkYet
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		j.failed(s, err)
	default:
		s.source.rest()
		j.answered(s)
	}
}

// joinSome tries several seeds at a time. It returns nil if one of them has
// answered. This node itself is no seed that fails.
func (j *Joiner) joinSome(ctx context.Context, seeds []Seed) error {
	results := make(chan error, len(seeds))
	for _, s := range seeds {
		go func() {
			err := j.joinSeed(ctx, s)
			if err != nil && !errors.Is(err, errSelf) {
				err = fmt.Errorf("%s: %w", s, err)
			}
			results <- err
		}()
	}
	var failures []error
	answered := false
	for range seeds {
		switch err := <-results; {
		case err == nil:
			answered = true
		case !errors.Is(err, errSelf):
			failures = append(failures, err)
		}
	}
	switch {
	case answered:
		return nil
	case len(failures) == 0:
		return errors.New("it names no node but this one")
	case len(failures) == 1:
		return failures[0]
	}
	return fmt.Errorf("none of %d nodes answers; %w", len(failures), failures[0])
}
