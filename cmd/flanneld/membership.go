// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

func joinCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "join ADDR...",
		Short: "Give the running daemon more addresses to join",
		Long: `Give the running daemon more nodes of its network, HOST or HOST:PORT (gossip, default 8286).
The daemon remembers them for as long as it runs, and tries them until they answer.`,
		Args: atLeast("ADDR"),
	}
	at := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		for _, a := range args {
			if err := config.CheckSeed(a); err != nil {
				return usage("%s: %q is %v", path(c), a, err)
			}
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		joined, err := client.Join(c.Context(), args)
		if err != nil {
			return err
		}
		if len(joined.Joined) > 0 {
			fmt.Fprintln(e.out, "joined", strings.Join(joined.Joined, ", "))
		}
		if joined.Failed != "" {
			return errors.New(joined.Failed)
		}
		return nil
	}
	return c
}

func leaveCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "leave",
		Short: "Hand the lease back, undo the set-up of the host, stop the daemon",
		Args:  exactly(),
	}
	at := addTarget(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := at.client(e)
		if err != nil {
			return err
		}
		left, err := client.Leave(c.Context())
		if err != nil {
			return err
		}
		if left.Subnet.IsValid() {
			fmt.Fprintf(e.out, "left: %s is handed back\n", left.Subnet)
		} else {
			fmt.Fprintln(e.out, "left: there was no lease to hand back")
		}
		if len(left.Notes) > 0 {
			return fmt.Errorf("left, but not everything could be removed: %s; run `flanneld cleanup` once the daemon has stopped", strings.Join(left.Notes, "; "))
		}
		return nil
	}
	return c
}

func forgetCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "forget NODE",
		Short: "Remove a dead node; its subnet becomes free",
		Long: `Remove a dead node from the node table; its subnet becomes free for others. NODE is its name,
its ID, or the beginning of its ID. A node that is alive is refused.`,
		Args: exactly("NODE"),
	}
	at := addTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := control.CheckNode(args[0]); err != nil {
			return usage("%s: %v", path(c), err)
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		node, err := client.Forget(c.Context(), args[0])
		if err != nil {
			return err
		}
		name := control.NodeName{ID: node.ID, Name: node.Name}
		switch {
		case node.Subnet.IsValid():
			fmt.Fprintf(e.out, "forgot %s: %s is free\n", named(name), node.Subnet)
		case node.Name == "": // in no node table
			fmt.Fprintf(e.out, "forgot %s: the subnet promised to it is free\n", named(name))
		default:
			fmt.Fprintf(e.out, "forgot %s, which held no subnet\n", named(name))
		}
		return nil
	}
	return c
}
