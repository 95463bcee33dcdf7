// SPDX-License-Identifier: Apache-2.0

// Package tap plugs a port of its own into a bridge of this host, as a
// container has one. The port is gone with its descriptor: also a process that
// is killed leaves nothing behind.
//
// It needs CAP_NET_ADMIN and /dev/net/tun.
package tap

import "errors"

// ErrNoBridge: the bridge does not exist.
var ErrNoBridge = errors.New("no such bridge")
