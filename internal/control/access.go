// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"slices"
)

// caller is the user that connected, as the kernel reports it.
type caller struct {
	uid  int
	gids []int // primary and supplementary
}

// socketOwner is the owner of the socket at the moment; an administrator may
// give it to a group of his choice while the daemon runs.
type socketOwner struct{ uid, gid int }

// admit lets root, the daemon's own user and the members of the socket's group
// in. The socket's mode says the same, but a mode can be changed by mistake.
func (c caller) admit(self int, owner socketOwner) error {
	if c.uid == 0 || c.uid == self || slices.Contains(c.gids, owner.gid) {
		return nil
	}
	return fmt.Errorf("user %d may not talk to flanneld: run as root, or join group %d", c.uid, owner.gid)
}
