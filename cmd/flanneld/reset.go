package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
	"flanneld/internal/daemon"
)

func resetCommand(s surroundings) *cobra.Command {
	c := &cobra.Command{
		Use:   "reset",
		Short: "Give up a damaged network, keep identity and subnet",
		Long: `Make the stopped daemon of this host give up its network: leases, promises and node table. The
identity stays, and so does the wish for the subnet: the next start joins or founds a network like
a new host, and asks for the old subnet first. Device, rules, subnet.env and containers stay as
they are. The command may be repeated, and reads directories of older versions.

To replace a damaged network, stop the daemon on all hosts, reset all of them, and start them
again in any order: one without --join, which founds the new network, the others with --join to
it. Each host gets its subnet again; no container has to be restarted. For an hour a reset host
keeps the subnets of the others, too, so that no new host takes them.

A host that is reset alone and joins its old network again gets its subnet back from it, and the
damage with it. One that founds a network alone leaves the others in the old one: the two refuse
each other, and no traffic passes between them until the others are reset, too.`,
		Example: `  systemctl stop flanneld && flanneld reset && systemctl start flanneld`,
		Args:    exactly(),
	}
	as := addFormat(c)
	at := addPlace(c, "state-dir")
	c.RunE = func(*cobra.Command, []string) error {
		cfg, err := at.load(s)
		if err != nil {
			return err
		}
		r, err := daemon.Reset(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return show(s, *as, r, func(t *table) { resetTable(t, r) })
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
