//go:build !linux

package daemon

import (
	"log/slog"

	"flanneld/route"
)

// raisePriority does nothing: there are no lanes.
func raisePriority(*slog.Logger) {}

// hurry does nothing, either.
func hurry(route.Urgency) bool { return false }
