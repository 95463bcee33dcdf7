// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"fmt"

	"flanneld/internal/host"
)

// finding is what a look at the rules found.
type finding struct {
	stamp string // of the rules that were looked at; "": there was no look
	wrong []string
	err   error
}

// Check returns which chains and jumps Ensure would put in place, one sentence
// each. It changes nothing. ErrNoIPTables means that there is nothing to check
// with. While Ensure is at work, the error is host.ErrPending. iptables only
// runs where the rules of this host have changed since the last look.
func (f *Firewall) Check(ctx context.Context) (wrong []string, err error) {
	if !f.mu.TryLock() {
		return nil, host.ErrPending
	}
	defer f.mu.Unlock()
	stamp := f.stamp()
	if stamp != "" && stamp == f.found.stamp {
		return f.found.wrong, f.found.err
	}
	wrong, err = f.check(ctx)
	if ctx.Err() == nil {
		f.found = finding{stamp: stamp, wrong: wrong, err: err}
	}
	return wrong, err
}

// check is Check with a look at the rules.
func (f *Firewall) check(ctx context.Context) (wrong []string, err error) {
	ipt, err := open()
	if err != nil {
		return nil, err
	}
	forward, _, err := list(ctx, ipt, "filter", "FORWARD")
	if err != nil {
		return nil, err
	}
	docker := dockerRulesOf(forward)
	chain := chainName(f.config.Device)
	for _, t := range tables(f.config, f.abilities(ctx, ipt), docker.askUser()) {
		unwanted := t.name == natTable && !f.nat.Load()
		if unwanted && f.noNAT {
			continue
		}
		have, exists, err := list(ctx, ipt, t.name, chain)
		if err != nil {
			return wrong, err
		}
		if unwanted {
			if exists {
				wrong = append(wrong, fmt.Sprintf("%s %s: is there, and nf_tables translates", t.name, chain))
			}
			continue
		}
		switch {
		case !exists:
			wrong = append(wrong, fmt.Sprintf("%s %s: chain is missing", t.name, chain))
		case !inPlace(have, t.rules, f.printed[t.name]):
			wrong = append(wrong, fmt.Sprintf("%s %s: rules were changed", t.name, chain))
		}
		parent, other := place(t, docker)
		jumps, err := jumpsWrong(ctx, ipt, t.name, parent, other, chain)
		if wrong = append(wrong, jumps...); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

// jumpsWrong looks for a jump that is missing from its parent, or stands in the
// other one.
func jumpsWrong(ctx context.Context, ipt *iptables, table, parent, other, chain string) (wrong []string, err error) {
	have, _, err := list(ctx, ipt, table, parent)
	if err != nil {
		return nil, err
	}
	if !jumpInPlace(have, parent, jumpTo(chain)) {
		wrong = append(wrong, fmt.Sprintf("%s %s: jump to %s is not in place", table, parent, chain))
	}
	if other == "" {
		return wrong, nil
	}
	have, _, err = list(ctx, ipt, table, other)
	if count(have, jumpTo(chain)) > 0 {
		wrong = append(wrong, fmt.Sprintf("%s %s: jump to %s belongs in %s", table, other, chain, parent))
	}
	return wrong, err
}

// jumpInPlace reports whether a parent has the jump once, where it belongs.
func jumpInPlace(have []rule, parent string, jump rule) bool {
	if parent == dockerUser {
		return jumpLast(have, jump)
	}
	return jumpFirst(have, jump)
}
