// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"log/slog"

	"flanneld/internal/problem"
)

// A Keeper ensures parts. It logs what it changed, and puts what it could not
// change on the list of problems, under the name of the part.
type Keeper struct {
	Log   *slog.Logger
	Board *problem.Board
	// Ensured is called after each Ensure of a part, with what it returned;
	// nil: nothing is called.
	Ensured func(p Part, changes []string, err error)
}

// Keep ensures the parts once, in order, and logs changes at that level. Where
// nothing is wrong it only reads. When ctx has ended, nothing is reported any
// more.
func (k Keeper) Keep(ctx context.Context, level slog.Level, parts ...Part) {
	for _, p := range parts {
		changes, err := p.Ensure(ctx)
		if ctx.Err() != nil {
			return
		}
		k.Report(p, err)
		if k.Ensured != nil {
			k.Ensured(p, changes, err)
		}
		if len(changes) > 0 {
			k.Log.Log(ctx, level, "host setup corrected", "part", p.Name(), "changes", changes)
		}
	}
}

// Report puts what an Ensure returned on the list of problems. A part that is
// pending stays as it was.
func (k Keeper) Report(p Part, err error) {
	if errors.Is(err, ErrPending) {
		return
	}
	k.Board.Report(p.Name(), Problems(err)...)
}
