// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"flanneld/internal/host"
	"flanneld/internal/host/ruleset"
)

// Firewall keeps the rules of one device. Its methods may be called from
// several goroutines; they take turns.
type Firewall struct {
	config Config
	nat    atomic.Bool // addresses are translated here

	mu      sync.Mutex
	printed map[string][]rule // by table: how iptables -S printed what was written last
	found   finding           // at the last look
	noNAT   bool              // there is no chain in the table nat, as it should be
	accepts bool              // the kernel has refused NETMAP
	docker  dockerRules       // at the last look
	adapted bool              // these had changed
}

// New returns a Firewall for the configuration. Nothing is changed before
// Ensure; for another lease make another Firewall, which takes over the chain.
func New(c Config) (*Firewall, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Firewall{config: c, printed: make(map[string][]rule)}, nil
}

// Translate sets whether addresses are translated by iptables, where nf_tables
// cannot do it (see package identity). At first they are not. The next Ensure
// does it, and takes away the chain that an earlier process made. Translate
// does not wait for an Ensure that is running. It reports whether on is new.
func (f *Firewall) Translate(on bool) (changed bool) { return f.nat.Swap(on) != on }

// Ensure corrects what is wrong, and returns one sentence for each change;
// nothing when all was well, which costs a run of iptables -S for each table.
// Call it when rules have changed: it heals a flush, and finds its way when
// Docker or firewalld start, restart or vanish. ErrNoIPTables means that there
// is nothing to do it with (yet). One table's error does not keep the others
// from being seen to; an iptables that hangs, or the end of ctx, does. A
// running command is killed when ctx ends.
func (f *Firewall) Ensure(ctx context.Context) (changed []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err = f.ensure(ctx)
	if f.found = (finding{}); err != nil && ctx.Err() == nil {
		f.found = finding{stamp: f.stamp(), err: err}
	}
	return changed, err
}

// stamp identifies the rules that this host has and should have; "" for not
// known.
func (f *Firewall) stamp() string {
	stamp := ruleset.Stamp()
	if stamp != "" && f.nat.Load() {
		stamp += ";" + natTable
	}
	return stamp
}

// ensure is Ensure without a note of what it found.
func (f *Firewall) ensure(ctx context.Context) (changed []string, err error) {
	ipt, err := open() // each time: update-alternatives changes it
	if err != nil {
		return nil, err
	}
	forward, _, err := list(ctx, ipt, "filter", "FORWARD")
	if errors.Is(err, ErrHangs) || ctx.Err() != nil {
		return nil, err
	}
	docker := dockerRulesOf(forward)
	f.adapted, f.docker = docker != f.docker, docker
	errs := []error{err}
	for _, t := range tables(f.config, f.abilities(ctx, ipt), docker.askUser()) {
		done, err := f.ensureOrWithdraw(ctx, ipt, t, docker)
		changed = append(changed, done...)
		errs = append(errs, err)
		if errors.Is(err, ErrHangs) || ctx.Err() != nil {
			break
		}
	}
	return changed, host.Join(errs...)
}

// Adapted reports whether the last Ensure found Docker's rules otherwise than
// the one before: Docker was started or stopped, or a program has flushed them.
// Then what Ensure has changed, no program may have taken away.
func (f *Firewall) Adapted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.adapted
}

// Concerns reports whether a change of nf_tables may have taken away what
// Ensure made, or got before it.
func (f *Firewall) Concerns(c ruleset.Change) bool {
	ours, chains := []string{"raw", "filter"}, []string{"PREROUTING", "FORWARD", dockerUser, "POSTROUTING", chainName(f.config.Device), ""}
	if f.nat.Load() {
		ours = append(ours, natTable)
	}
	return c.Touches(func(chain ruleset.Chain) bool {
		return chain.Family == ruleset.FamilyIPv4 && slices.Contains(ours, chain.Table) && slices.Contains(chains, chain.Name)
	})
}

// Remove takes away what any flanneld set up for the device. Without iptables
// there is nothing to remove, and no error.
func Remove(ctx context.Context, device string) error {
	if err := validDevice(device); err != nil {
		return err
	}
	ipt, err := open()
	if errors.Is(err, ErrNoIPTables) {
		return nil
	} else if err != nil {
		return err
	}
	var errs []error
	for _, t := range tables(Config{Device: device}, abilities{}, false) {
		_, err := removeTable(ctx, ipt, t, chainName(device))
		errs = append(errs, err)
		if errors.Is(err, ErrHangs) || ctx.Err() != nil {
			break
		}
	}
	return host.Join(errs...)
}

// ensureOrWithdraw takes the chain of the table nat away where nf_tables
// translates, and ensures all others.
func (f *Firewall) ensureOrWithdraw(ctx context.Context, ipt *iptables, t table, docker dockerRules) ([]string, error) {
	switch {
	case t.name != natTable:
		return f.ensureTable(ctx, ipt, t, docker)
	case f.nat.Load():
		f.noNAT = false
		return f.ensureNAT(ctx, ipt, t, docker)
	case f.noNAT: // only an earlier process can have made it: one look is enough
		return nil, nil
	}
	chain := chainName(f.config.Device)
	removed, err := removeTable(ctx, ipt, t, chain)
	f.noNAT = err == nil
	if !removed {
		return nil, err
	}
	return []string{fmt.Sprintf("%s %s: removed, nf_tables translates", t.name, chain)}, err
}

// ensureNAT keeps sources by ACCEPT where the kernel refuses NETMAP.
func (f *Firewall) ensureNAT(ctx context.Context, ipt *iptables, t table, docker dockerRules) (changed []string, err error) {
	changed, err = f.ensureTable(ctx, ipt, t, docker)
	if failed := (*commandError)(nil); f.accepts || !errors.As(err, &failed) {
		return changed, err
	}
	can := f.abilities(ctx, ipt)
	can.netmap = false
	t.rules = natRules(f.config, can)
	again, err := f.ensureTable(ctx, ipt, t, docker)
	f.accepts = err == nil
	return append(changed, again...), err
}

// abilities asks iptables for its version only if a rule depends on it.
func (f *Firewall) abilities(ctx context.Context, ipt *iptables) abilities {
	random := f.config.Masquerade && f.nat.Load() && ipt.randomFully(ctx)
	return abilities{randomFully: random, netmap: !f.accepts}
}

// ensureTable: the chain comes before the jump, so that a jump never leads to
// half a chain. A jump in the wrong parent goes first where the chain leads to
// that parent: iptables refuses a loop.
func (f *Firewall) ensureTable(ctx context.Context, ipt *iptables, t table, docker dockerRules) (changed []string, err error) {
	chain := chainName(f.config.Device)
	parent, other := place(t, docker)
	takeAway := func() error {
		if other == "" {
			return nil
		}
		removed, err := removeJumps(ctx, ipt, t.name, other, chain)
		if removed {
			changed = append(changed, fmt.Sprintf("%s %s: jump to %s removed, it is in %s", t.name, other, chain, parent))
		}
		return err
	}
	if other == dockerUser {
		if err := takeAway(); err != nil {
			return changed, err
		}
	}
	rewritten, err := f.ensureChain(ctx, ipt, t, chain)
	if changed = append(changed, rewritten...); err != nil {
		return changed, err
	}
	moved, err := ensureJump(ctx, ipt, t.name, parent, chain)
	if moved {
		changed = append(changed, fmt.Sprintf("%s %s: jump to %s put in place", t.name, parent, chain))
	}
	if err != nil || other == dockerUser {
		return changed, err
	}
	err = takeAway()
	return changed, err
}

// place returns the parent that the jump belongs in, and the one that it must
// not be in.
func place(t table, docker dockerRules) (parent, other string) {
	switch {
	case t.name != "filter":
		return t.parents[0], ""
	case docker.first:
		return dockerUser, "FORWARD"
	}
	return "FORWARD", dockerUser
}

// ensureChain writes flanneld's chain unless it is as it should be. Some
// iptables may print a rule otherwise than it is written here; what it printed
// after the last write is therefore right as well.
func (f *Firewall) ensureChain(ctx context.Context, ipt *iptables, t table, chain string) ([]string, error) {
	have, exists, err := list(ctx, ipt, t.name, chain)
	if err != nil {
		return nil, err
	}
	if exists && inPlace(have, t.rules, f.printed[t.name]) {
		return nil, nil
	}
	if exists {
		_, err = ipt.change(ctx, t.name, "-F", chain)
	} else {
		_, err = ipt.change(ctx, t.name, "-N", chain)
	}
	if err != nil {
		return nil, wrap(t.name, chain, err)
	}
	for _, r := range t.rules {
		if _, err := ipt.change(ctx, t.name, append([]string{"-A", chain}, r.args()...)...); err != nil {
			return nil, wrap(t.name, chain, err)
		}
	}
	if f.printed[t.name], _, err = list(ctx, ipt, t.name, chain); err != nil {
		return nil, err
	}
	what := "rules put right"
	if !exists {
		what = "created"
	}
	return []string{fmt.Sprintf("%s %s: %s", t.name, chain, what)}, nil
}

// ensureJump keeps the jump before all rules of other programs, in DOCKER-USER
// after them. A misplaced one is deleted before it is inserted, because
// iptables deletes the first of two equal rules.
func ensureJump(ctx context.Context, ipt *iptables, table, parent, chain string) (moved bool, err error) {
	have, _, err := list(ctx, ipt, table, parent)
	jump := jumpTo(chain)
	if err != nil || jumpInPlace(have, parent, jump) {
		return false, err
	}
	if _, err := removeJumps(ctx, ipt, table, parent, chain); err != nil {
		return false, err
	}
	position := 1
	if parent == dockerUser {
		rest := slices.DeleteFunc(have, func(r rule) bool { return r == jump })
		if position = userEnd(rest) + 1; position > len(rest) {
			_, err = ipt.change(ctx, table, append([]string{"-A", parent}, jump.args()...)...)
			return true, wrap(table, parent, err)
		}
	}
	_, err = ipt.change(ctx, table, append([]string{"-I", parent, strconv.Itoa(position)}, jump.args()...)...)
	return true, wrap(table, parent, err)
}

// removeJumps deletes every jump from the parent; a missing parent has none.
func removeJumps(ctx context.Context, ipt *iptables, table, parent, chain string) (removed bool, err error) {
	have, _, err := list(ctx, ipt, table, parent)
	if err != nil {
		return false, err
	}
	for range count(have, jumpTo(chain)) {
		_, err := ipt.change(ctx, table, append([]string{"-D", parent}, jumpTo(chain).args()...)...)
		if err != nil && !missing(err) {
			return removed, wrap(table, parent, err)
		}
		removed = true
	}
	return removed, nil
}

// removeTable: jumps first, a chain that is jumped to cannot be deleted.
func removeTable(ctx context.Context, ipt *iptables, t table, chain string) (removed bool, err error) {
	_, exists, err := list(ctx, ipt, t.name, chain)
	if err != nil || !exists {
		return false, err
	}
	for _, parent := range t.parents {
		if _, err := removeJumps(ctx, ipt, t.name, parent, chain); err != nil {
			return false, err
		}
	}
	if _, err := ipt.change(ctx, t.name, "-F", chain); err != nil {
		return false, wrap(t.name, chain, err)
	}
	_, err = ipt.change(ctx, t.name, "-X", chain)
	return err == nil, wrap(t.name, chain, err)
}

// list returns a chain's rules, and whether there is such a chain. The whole
// table is read once between two changes. iptables-nft refuses a table in which
// it does not understand a chain, also one of another program. It may print
// ours even then.
func list(ctx context.Context, ipt *iptables, table, chain string) ([]rule, bool, error) {
	all, err := ipt.list(ctx, table)
	if err == nil {
		return parse(strings.Split(all, "\n"), chain), declares(all, chain), nil
	}
	if errors.Is(err, ErrHangs) || ctx.Err() != nil {
		return nil, false, err
	}
	out, chainErr := ipt.run(ctx, table, "-S", chain)
	switch {
	case errors.Is(chainErr, ErrHangs) || ctx.Err() != nil:
		return nil, false, chainErr
	case chainErr != nil: // 1.8.9 calls a chain that is missing "incompatible", too
		return nil, false, wrap(table, chain, err)
	}
	return parse(strings.Split(out, "\n"), chain), true, nil
}

// declares reports whether iptables -S lists the chain.
func declares(out, chain string) bool {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) >= 2 && (words[0] == "-N" || words[0] == "-P") && words[1] == chain {
			return true
		}
	}
	return false
}

// wrap gives an error its subject.
func wrap(table, chain string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("firewall: %s %s: %w", table, chain, err)
}
