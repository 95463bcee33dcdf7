// SPDX-License-Identifier: Apache-2.0

// Package host is the list of things that flanneld keeps on this host, and the
// loops that keep them.
//
// Each thing is a Part. The guard ensures the parts every few seconds and when
// the kernel reports a change. Status checks them. Leaving a network and
// cleaning up remove them, the last part first. The packages below this one
// implement the parts; they touch the kernel and decide nothing.
package host

import (
	"context"
	"errors"
)

// A Part is one thing that flanneld keeps on the host. Its methods may be
// called concurrently; they take turns. While a Part does not know yet how
// the thing should be (no lease, no members), it ensures and checks nothing. It
// removes what an earlier process left.
type Part interface {
	// Name is one word or two, for the log and for the list of problems.
	Name() string
	// Ensure makes the thing as it should be, and returns one sentence for
	// each change. It is idempotent: with all in place it changes nothing. Its
	// error may join several problems, each with advice (see Advise).
	Ensure(ctx context.Context) (changes []string, err error)
	// Check returns one sentence for each difference that it finds. It changes
	// nothing, and may be called often. Its error is ErrPending while an Ensure
	// is at work that may take long.
	Check(ctx context.Context) (wrong []string, err error)
	// Remove takes the thing away. Without any it does nothing.
	Remove(ctx context.Context) error
}

// A Leftover is a Part that can name what it would remove.
type Leftover interface {
	Part
	// Present names what is on the host now; empty for nothing.
	Present() []string
}

// ErrPending is the error of an Ensure that has nothing to work on: another
// part of the program is about to make the thing. It is also the error of a
// Check that would have to wait for an Ensure. It is no problem.
var ErrPending = errors.New("not made yet")
