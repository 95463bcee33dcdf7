// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"flanneld/internal/daemon"
	"flanneld/peers"
)

// The commands that need no daemon and no network.

func keygenCommand(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Print a new cluster key",
		Long: `Print a new cluster key: 32 random bytes in base64. Put it into a file of mode 0600 and give
every node that file with --key-file.`,
		Example: "  (umask 077 && flanneld keygen > /etc/flanneld/key)",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			key, err := peers.NewKey()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, key)
			return err
		},
	}
}

func cleanupCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove device, routes, rules and files that a stopped daemon left",
		Long: `Remove what a stopped or killed daemon left behind: the overlay device with its addresses and
routes, the firewall rules, subnet.env, the file for dockerd, and the control socket. The command
fails while a daemon runs, and may be repeated. Identity, lease and node table in the state
directory stay, so that the next start has the same subnet.`,
		Args: exactly(),
	}
	at := addTarget(c, "device", "subnet-file", "docker-file")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := at.load(e)
		if err != nil {
			return err
		}
		removed, err := daemon.Cleanup(cfg)
		for _, what := range removed {
			fmt.Fprintln(e.out, "removed", what)
		}
		if err == nil && len(removed) == 0 {
			fmt.Fprintln(e.out, "nothing to remove")
		}
		return err
	}
	return c
}

func versionCommand(e env) *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: exactly()}
	as := addFormat(c)
	c.RunE = func(*cobra.Command, []string) error {
		about := map[string]string{"version": version, "go": runtime.Version(), "platform": platform()}
		return show(e, *as, about, func(t *table) { t.line(plain, versionLine()) })
	}
	return c
}

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

func versionLine() string {
	return fmt.Sprintf("flanneld %s (%s, %s)", version, platform(), runtime.Version())
}
