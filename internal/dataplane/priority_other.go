// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package dataplane

import (
	"log/slog"
	"time"

	"flanneld/route"
)

// raisePriority does nothing: there are no lanes.
func raisePriority(*slog.Logger) {}

// setPriority does nothing, either.
func setPriority(route.Priority) bool { return false }

// cpuTime is not known.
func cpuTime() time.Duration { return 0 }
