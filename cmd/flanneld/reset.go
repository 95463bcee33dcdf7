// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
	"flanneld/internal/daemon"
)

func resetCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "reset",
		Short: "Discard a damaged network, keep identity and subnet",
		Long: `Discard the network of the stopped daemon of this host: leases, promises and node table. The
identity stays, and so does the wish for the subnet. The next start joins or founds a network like
a new host, and asks for the old subnet first. Device, rules, subnet.env and containers stay as
they are. The command may be repeated, and reads directories of older versions.

To replace a damaged network, stop the daemon on all hosts, reset all of them, and start them
again in any order. One host starts without --join and founds the new network, the others start
with --join to it. Each host gets its subnet again; no container has to be restarted. For an hour
a reset host reserves the subnets of the others, too, so that no new host takes them.

A host that is reset alone and joins its old network again gets its subnet back, and the damage as
well. A host that founds a network alone leaves the others in the old one. The two networks refuse
each other, and no traffic passes between them until the others are reset, too.`,
		Example: `  systemctl stop flanneld && flanneld reset && systemctl start flanneld`,
		Args:    exactly(),
	}
	as := addFormat(c)
	at := addTarget(c, "state-dir")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := at.load(e)
		if err != nil {
			return err
		}
		r, err := daemon.Reset(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return show(e, *as, r, func(t *table) { resetTable(t, r) })
	}
	return c
}

func resetTable(t *table, r control.Reset) {
	if r.Node == "" {
		t.linef(plain, "nothing to reset:", "there is no state in %s", r.StateDir)
		return
	}
	t.linef(plain, "kept:", "identity of node %s", r.Node)
	if r.Network.ID != "" {
		t.linef(plain, "given up:", "network %s (%.8s), its leases and its node table", r.Network.Prefix, r.Network.ID)
	}
	for _, name := range r.SetAside {
		t.linef(yellow, "set aside:", "%s, which could not be read", name)
	}
	if r.Subnet.IsValid() {
		t.linef(plain, "next start:", "asks for %s first", r.Subnet)
	} else {
		t.linef(plain, "next start:", "asks for what subnet.env or a bridge of this host has, or for any subnet")
	}
	if r.KeptFor > 0 {
		t.linef(plain, "", "keeps the subnets of %d other nodes for them, for an hour", r.KeptFor)
	}
}
