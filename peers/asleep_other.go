// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package peers

import "time"

// asleep is how long this host has been suspended; only Linux reports it.
func asleep() time.Duration { return 0 }
