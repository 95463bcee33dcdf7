// SPDX-License-Identifier: Apache-2.0

// Package discover finds nodes to join: in DNS (srv:NAME), and by a program of
// the user's (exec:COMMAND). A source returns addresses, host[:port], each time
// it is asked; when to ask is its caller's business.
package discover

import "errors"

// The bounds of one answer, whichever source it is from.
const (
	maxSeeds = 1000      // addresses; the rest is left out
	maxText  = 256 << 10 // bytes of output
)

// errNone means that an answer has no address in it.
var errNone = errors.New("it names no node")
