// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"flanneld/internal/cni"
)

func cniCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "cni",
		Short: "Be the CNI plugin that container runtimes start",
		Long: `Be a CNI plugin: attach a container to this host's subnet with the plugins bridge and host-local,
or with those that the network configuration names. Container runtimes start it as flanneld-cni,
which is a link to this program. A link that is called flannel takes the place of flannel's plugin:
the network configuration is the same.

It reads subnet.env. ADD, CHECK and DEL need no daemon. STATUS asks the daemon, and fails with error
50 without a lease or a daemon, and with 51 while most other hosts are not reached.`,
		Example: `  ln -s $(command -v flanneld) /opt/cni/bin/flanneld-cni
  CNI_COMMAND=VERSION flanneld cni`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if cni.Main(version) != statusOK {
				return errNotWell // the runtime has the error already
			}
			return nil
		},
	}
	c.AddCommand(cniInstallCommand(e))
	return c
}
