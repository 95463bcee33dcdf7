// SPDX-License-Identifier: Apache-2.0

// Package poll waits for descriptors that are used by raw system calls: a lane
// waits for its queue and its socket at once.
package poll
