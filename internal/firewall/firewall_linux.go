package firewall

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-iptables/iptables"
)

// lockSeconds is how long a command waits for the xtables lock, which dockerd
// and firewalld hold while they change rules (milliseconds each).
const lockSeconds = 5

// Firewall keeps the rules of one device. Its methods may be called from
// several goroutines; they take turns.
type Firewall struct {
	config Config

	mu      sync.Mutex
	ipt     *iptables.IPTables // nil until the command was found
	printed map[string][]rule  // by table: how iptables -S printed what was written last
}

// New returns a Firewall for the configuration. Nothing is changed before
// Ensure; for another lease make another Firewall, which takes over the chain.
func New(c Config) (*Firewall, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Firewall{config: c, printed: make(map[string][]rule)}, nil
}

// Ensure puts right what is not, and returns one sentence for each change;
// nothing when all was well, which costs eight runs of iptables -S.
// Call it every few seconds: it heals a flush, and finds its way when Docker
// or firewalld start, restart or vanish. ErrNoIPTables means that there is
// nothing to do it with (yet). One table's error does not keep the others
// from being seen to.
func (f *Firewall) Ensure() (changed []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ipt == nil {
		if f.ipt, err = open(); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, t := range tables(f.config, f.ipt.HasRandomFully()) {
		done, err := f.ensureTable(t)
		changed = append(changed, done...)
		errs = append(errs, err)
	}
	return changed, oneLine(errs)
}

// Remove takes the rules and chains away; without any it does nothing.
func (f *Firewall) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.printed)
	return Remove(f.config.Device)
}

// Remove takes away what any flanneld set up for the device. To be called for
// a daemon that is gone, or through Firewall.Remove. Without iptables there is
// nothing to remove, and no error.
func Remove(device string) error {
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
	for _, t := range tables(Config{Device: device}, false) {
		errs = append(errs, removeTable(ipt, t, chainName(device)))
	}
	return oneLine(errs)
}

// open finds the iptables that Docker would use: the first in PATH.
func open() (*iptables.IPTables, error) {
	ipt, err := iptables.New(iptables.Timeout(lockSeconds))
	if errors.Is(err, exec.ErrNotFound) {
		return nil, ErrNoIPTables
	} else if err != nil {
		return nil, fmt.Errorf("firewall: %w", err)
	}
	return ipt, nil
}

// ensureTable: the chain comes first, so that a jump never leads to half of it.
func (f *Firewall) ensureTable(t table) ([]string, error) {
	chain := chainName(f.config.Device)
	changed, err := f.ensureChain(t, chain)
	if err != nil {
		return changed, err
	}
	parent, other, err := f.place(t)
	if err != nil {
		return changed, err
	}
	moved, err := ensureJump(f.ipt, t.name, parent, chain)
	if moved {
		changed = append(changed, fmt.Sprintf("%s %s: jump to %s put first", t.name, parent, chain))
	}
	if err != nil || other == "" {
		return changed, err
	}
	removed, err := removeJumps(f.ipt, t.name, other, chain)
	if removed {
		changed = append(changed, fmt.Sprintf("%s %s: jump to %s removed, it is in %s", t.name, other, chain, parent))
	}
	return changed, err
}

// place says which parent the jump belongs in, and which it must not be in.
func (f *Firewall) place(t table) (parent, other string, err error) {
	if t.name != "filter" {
		return t.parents[0], "", nil
	}
	forward, _, err := list(f.ipt, t.name, "FORWARD")
	if err != nil {
		return "", "", err
	}
	if beginsWithDocker(forward) {
		return dockerUser, "FORWARD", nil
	}
	return "FORWARD", dockerUser, nil
}

// ensureChain writes flanneld's chain unless it is as it should be. Some
// iptables may print a rule otherwise than it is written here; what it printed
// after the last write is therefore right as well.
func (f *Firewall) ensureChain(t table, chain string) ([]string, error) {
	have, exists, err := list(f.ipt, t.name, chain)
	if err != nil {
		return nil, err
	}
	if exists && inPlace(have, t.rules, f.printed[t.name]) {
		return nil, nil
	}
	if err := f.ipt.ClearChain(t.name, chain); err != nil {
		return nil, wrap(t.name, chain, err)
	}
	for _, r := range t.rules {
		if err := f.ipt.Append(t.name, chain, r.args()...); err != nil {
			return nil, wrap(t.name, chain, err)
		}
	}
	if f.printed[t.name], _, err = list(f.ipt, t.name, chain); err != nil {
		return nil, err
	}
	what := "rules put right"
	if !exists {
		what = "created"
	}
	return []string{fmt.Sprintf("%s %s: %s", t.name, chain, what)}, nil
}

// ensureJump keeps the jump before everybody else's rules. A misplaced one is
// deleted before it is inserted, because iptables deletes the first of two
// equal rules.
func ensureJump(ipt *iptables.IPTables, table, parent, chain string) (moved bool, err error) {
	have, _, err := list(ipt, table, parent)
	if err != nil || jumpFirst(have, jumpTo(chain)) {
		return false, err
	}
	if _, err := removeJumps(ipt, table, parent, chain); err != nil {
		return false, err
	}
	return true, wrap(table, parent, ipt.Insert(table, parent, 1, jumpTo(chain).args()...))
}

// removeJumps deletes every jump from the parent; a missing parent has none.
func removeJumps(ipt *iptables.IPTables, table, parent, chain string) (removed bool, err error) {
	have, _, err := list(ipt, table, parent)
	if err != nil {
		return false, err
	}
	for range count(have, jumpTo(chain)) {
		err := ipt.Delete(table, parent, jumpTo(chain).args()...)
		if err != nil && !missing(err) {
			return removed, wrap(table, parent, err)
		}
		removed = true
	}
	return removed, nil
}

// removeTable: jumps first, a chain that is jumped to cannot be deleted.
func removeTable(ipt *iptables.IPTables, t table, chain string) error {
	_, exists, err := list(ipt, t.name, chain)
	if err != nil || !exists {
		return err
	}
	for _, parent := range t.parents {
		if _, err := removeJumps(ipt, t.name, parent, chain); err != nil {
			return err
		}
	}
	return wrap(t.name, chain, ipt.ClearAndDeleteChain(t.name, chain))
}

// list returns a chain's rules, and whether there is such a chain.
func list(ipt *iptables.IPTables, table, chain string) ([]rule, bool, error) {
	lines, err := ipt.List(table, chain)
	if err == nil {
		return parse(lines, chain), true, nil
	}
	// Of a chain that is not there iptables-nft 1.8.9 says that it is
	// "incompatible", so the words are not to be trusted: ask for the names.
	chains, chainsErr := ipt.ListChains(table)
	if chainsErr != nil || slices.Contains(chains, chain) {
		return nil, false, wrap(table, chain, err)
	}
	return nil, false, nil
}

// missing says whether a rule to be deleted is not there any more.
func missing(err error) bool {
	var failed *iptables.Error
	return errors.As(err, &failed) && failed.IsNotExist()
}

// wrap gives an error its subject, and what iptables said on several lines one.
func wrap(table, chain string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("firewall: %s %s: %s", table, chain, strings.Join(strings.Fields(err.Error()), " "))
}

// oneLine joins the tables' errors, which often are one and the same cause.
func oneLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if texts == nil {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}
