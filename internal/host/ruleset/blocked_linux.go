// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// hooks of nf_tables, for ip and inet.
var hookNames = map[nftables.ChainHook]string{
	*nftables.ChainHookPrerouting: "prerouting", *nftables.ChainHookInput: "input", *nftables.ChainHookForward: "forward",
	*nftables.ChainHookOutput: "output", *nftables.ChainHookPostrouting: "postrouting",
}

// BlockedFlows returns the flows that a base chain of this network namespace
// certainly drops. The chains are those of all tables of nf_tables, iptables'
// among them, and of iptables-legacy. A chain is judged only where every rule
// in the way can be answered. A rule that depends on more than the flow may
// let it pass. Tables with a name that begins with skip are passed over.
func BlockedFlows(ctx context.Context, flows []Flow, skip string) ([]Blocked, error) {
	all, err := blockedByNFTables(flows, skip)
	if err != nil {
		return nil, err
	}
	legacy, err := blockedByLegacy(ctx, flows)
	return append(all, legacy...), err
}

// readChains lists the chains of nf_tables, and makes a reader of their rules.
func readChains() (*reader, []*nftables.Chain, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, nil, fmt.Errorf("ruleset: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, nil, fmt.Errorf("ruleset: list the chains of nf_tables: %w", err)
	}
	return newReader(conn, chains), chains, nil
}

func blockedByNFTables(flows []Flow, skip string) (all []Blocked, err error) {
	r, chains, err := readChains()
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		if c.Hooknum == nil || c.Type != nftables.ChainTypeFilter || skip != "" && strings.HasPrefix(c.Table.Name, skip) {
			continue
		}
		family := Family(c.Table.Family)
		if family != FamilyIPv4 && family != FamilyInet {
			continue
		}
		hook := hookNames[*c.Hooknum]
		policy := c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop
		for _, f := range flows {
			if !slices.Contains(f.Hooks, hook) {
				continue
			}
			if why, drops := r.forFlow(c.Table, f, false).drops(c.Name, policy); drops {
				all = append(all, Blocked{Flow: f, Chain: Chain{family, c.Table.Name, c.Name}, Hook: hook, Why: why})
			}
		}
	}
	return all, r.err
}

// TranslatedFlows returns the flows that certainly get another source address
// in a chain of nf_tables at the hook postrouting, with that priority or a
// lower one. Tables with a name that begins with skip are passed over. The
// chains of iptables-legacy have the priority 100.
func TranslatedFlows(flows []Flow, upTo int32, skip string) (all []Blocked, err error) {
	r, chains, err := readChains()
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		family := Family(c.Table.Family)
		if c.Type != nftables.ChainTypeNAT || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookPostrouting ||
			c.Priority == nil || int32(*c.Priority) > upTo || family != FamilyIPv4 && family != FamilyInet || strings.HasPrefix(c.Table.Name, skip) {
			continue
		}
		for _, f := range flows {
			if why, translates := r.forFlow(c.Table, f, true).drops(c.Name, false); translates {
				all = append(all, Blocked{Flow: f, Chain: Chain{family, c.Table.Name, c.Name}, Hook: "postrouting", Why: why})
			}
		}
	}
	return all, r.err
}

// legacyTime bounds a listing of iptables-legacy.
const legacyTime = 8 * time.Second

// legacyFilters are the tables of iptables-legacy that drop.
var legacyFilters = []string{"raw", "mangle", "filter"}

// blockedByLegacy looks at the tables of iptables-legacy that exist: to list
// another one would make it.
func blockedByLegacy(ctx context.Context, flows []Flow) (all []Blocked, err error) {
	exist, err := LegacyTables()
	if err != nil {
		return nil, err
	}
	path, lookErr := exec.LookPath("iptables-legacy")
	if lookErr != nil {
		if path, lookErr = exec.LookPath("iptables"); lookErr != nil {
			return nil, nil // nothing can be listed, nor was anything made here
		}
	}
	for _, table := range legacyFilters {
		if !slices.Contains(exist, table) {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, legacyTime)
		cmd := exec.CommandContext(limited, path, "-w", "5", "-t", table, "-S")
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		cancel()
		if err != nil {
			return all, fmt.Errorf("ruleset: list the table %s with %s: %w", table, path, err)
		}
		all = append(all, blockedByText(table, string(out), flows)...)
	}
	return all, nil
}
