// SPDX-License-Identifier: Apache-2.0

package wire

import "errors"

// Why bytes that came in are refused. The texts are for people.
var (
	ErrOldFormat     = errors.New("flanneld 0.1")
	ErrForeign       = errors.New("not flanneld's gossip")
	ErrOtherKey      = errors.New("no cluster key of ours opens it")
	ErrNoNode        = errors.New("it is no flanneld node")
	ErrOtherVersions = errors.New("other protocol versions")
	ErrFrame         = errors.New("malformed frame")
)
