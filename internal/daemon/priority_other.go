//go:build !linux

package daemon

import "log/slog"

// raisePriority does nothing: there are no lanes.
func raisePriority(*slog.Logger) {}

// hurry does nothing, either.
func hurry(bool) bool { return false }
