// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
)

// outcome is what became of packets sent at a rate. Rates are in packets per
// second.
type outcome struct {
	sent, received int     // received in time
	offered        float64 // rate at which senders sent
	delivered      float64 // rate of arrival, once queues were full
}

// lossAllowed is the share of packets that may be lost of a rate that counts
// as lossless.
const lossAllowed = 0.005

func (o outcome) lossless() bool {
	return o.sent > 0 && float64(o.sent-o.received) <= float64(o.sent)*lossAllowed
}

// attempt sends at a rate for a moment.
type attempt func(rate float64) (outcome, error)

var unlimited = math.Inf(1)

// searchSteps halve the interval in question until it is within a few percent.
const searchSteps = 7

// highest searches for the highest lossless rate. A first attempt without a
// limit shows where to look: no rate can exceed what its senders achieved. Then
// the interval is halved on a logarithmic scale.
func (try attempt) highest() (float64, error) {
	flood, err := try(unlimited)
	if err != nil || flood.lossless() {
		return flood.offered, err
	}
	high := flood.offered
	low, best, err := try.lowest(max(flood.delivered, high/64) / 4)
	for range searchSteps {
		if err != nil {
			return 0, err
		}
		rate := math.Sqrt(low * high)
		var o outcome
		if o, err = try.twice(rate); o.lossless() {
			low, best = rate, max(best, o.offered)
		} else {
			high = rate
		}
	}
	return best, err
}

// lowest finds a rate that is lossless, from a guess downwards, and returns it
// as asked for and as it was achieved.
func (try attempt) lowest(guess float64) (asked, achieved float64, err error) {
	var o outcome
	for rate := guess; rate > 100; rate /= 4 {
		if o, err = try.twice(rate); err != nil || o.lossless() {
			return rate, o.offered, err
		}
	}
	return 0, 0, fmt.Errorf("no rate without loss: of the last %d packets %d arrived", o.sent, o.received)
}

// twice gives a rate that loses a second chance: on a shared machine any
// program may be held up.
func (try attempt) twice(rate float64) (outcome, error) {
	o, err := try(rate)
	if err != nil || o.lossless() {
		return o, err
	}
	return try(rate)
}
