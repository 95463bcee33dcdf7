// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"slices"
)

// keyName is the key file that a node of a sealed network uses in its state
// directory where --key-file names none.
const keyName = "cluster-key"

// checkSealed refuses what would carry packets in the clear beside a sealed
// network. It fills in the key file, and switches off what is on by default.
func (c *Config) checkSealed() error {
	switch {
	case !c.Sealed:
		return nil
	case len(c.StaticPeers) > 0:
		return c.fault("static-peer", "", "does not go with --sealed: a host that runs flannel cannot open sealed packets, and a sealed network sends no others; "+
			"leave it out, or run this network without --sealed")
	case c.Shortcut == ShortcutAuto && c.Given("shortcut"):
		return c.fault("shortcut", c.Shortcut, "does not go with --sealed: the kernel would send packets in the clear; leave it out")
	case slices.ContainsFunc(c.Backend, Path.Kernel):
		return c.fault("backend", c.Backend.String(), "does not go with --sealed: the kernel would send packets in the clear; leave --backend out")
	}
	c.Shortcut = ShortcutOff
	if c.KeyFile == "" {
		c.KeyFile = filepath.Join(c.StateDir, keyName)
	}
	return nil
}
