// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/ruleset"
)

// Table keeps one device's table. Its methods may be called from several
// goroutines; they take turns.
type Table struct {
	device string
	uid    uint32

	mu       sync.Mutex
	check    sourceCheck // the best that the kernel has not refused
	applied  elements    // what the sets hold; nil: not written by this Table yet
	printed  string      // the chains as the kernel listed them after they were written
	verified uint32      // generation of the kernel's rules at which all was right
	created  bool        // there was no table before
}

// New returns a Table for a device; uid is the user that may send beside root.
// Nothing is changed before Ensure.
func New(device string, uid uint32) (*Table, error) {
	if err := (Config{Device: device}).Validate(); err != nil {
		return nil, err
	}
	return &Table{device: device, uid: uid, check: inAnyHook}, nil
}

// Created reports whether Ensure made a table where none was.
func (t *Table) Created() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.created
}

// Ensure makes the table as configured, in one transaction. It
// returns one sentence for each thing that was not as Ensure had left it;
// nothing for changes of the configuration. Where the kernel's rules did not
// change since the last call it costs one netlink message. The error is
// ErrUnsupported where the kernel lacks what is needed.
func (t *Table) Ensure(c Config) (changed []string, err error) {
	c.Device, c.UID = t.device, t.uid
	if err := c.Validate(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	generation, err := ruleset.Generation()
	if err != nil {
		return nil, explain(err)
	}
	want := c.contents()
	have, intact := t.applied, t.applied != nil && generation == t.verified
	if !intact && t.applied != nil {
		if have, intact, err = t.read(); err != nil {
			return nil, explain(err)
		}
		if intact && !have.equal(t.applied) {
			changed = append(changed, fmt.Sprintf("sets of table %s were changed", TableName(t.device)))
		}
	}
	if intact && t.update(have, want, generation) == nil {
		return changed, nil
	}
	said, err := t.write(c)
	return append(changed, said...), err
}

// update brings the sets from what they hold to what they should hold.
func (t *Table) update(have, want elements, generation uint32) error {
	if !have.equal(want) {
		conn, err := connect()
		if err != nil {
			return err
		}
		if err := queueChanges(conn, setsOf(t.table()), have, want); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		generation++ // of this transaction; another one makes the next look a full one
	}
	t.applied, t.verified = want, generation
	return nil
}

// write makes the whole table anew. The old one filters until the new one does.
func (t *Table) write(c Config) ([]string, error) {
	_, existed, err := t.list()
	if err != nil {
		return nil, explain(err)
	}
	if err := t.install(c); err != nil {
		return nil, explain(err)
	}
	again := t.applied != nil
	t.applied, t.created = c.contents(), t.created || !existed && !again
	if t.verified, err = ruleset.Generation(); err != nil {
		return nil, explain(err)
	}
	if t.printed, _, err = t.list(); err != nil {
		return nil, explain(err)
	}
	if strings.Count(t.printed, "\n") != t.lines(c) { // changed before it was read back
		t.verified, t.printed = 0, ""
	}
	switch {
	case !existed:
		return []string{fmt.Sprintf("table ip %s created", TableName(t.device))}, nil
	case again:
		return []string{fmt.Sprintf("table ip %s restored", TableName(t.device))}, nil
	}
	return nil, nil
}

// install makes the table with the best check of sources that the kernel has.
// ENOENT is the kernel's word for a module that is missing. EOPNOTSUPP is its
// word for an expression that it refuses in a hook.
func (t *Table) install(c Config) (err error) {
	for check := t.check; check >= nowhere; check-- {
		err = t.replace(c, check)
		if err == nil {
			t.check = check
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EOPNOTSUPP) {
			break
		}
	}
	return err
}

// replace deletes a table of that name and makes it, as one transaction.
func (t *Table) replace(c Config, check sourceCheck) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	table := t.table()
	conn.AddTable(table) // so that there is one to delete
	conn.DelTable(table)
	conn.AddTable(table)
	sets := setsOf(table)
	for _, name := range setNames {
		if err := conn.AddSet(sets[name], nil); err != nil {
			return err
		}
	}
	if err := queueChanges(conn, sets, elements{}, c.contents()); err != nil {
		return err
	}
	for _, spec := range chains(c, check, sets) {
		chain := conn.AddChain(chainOf(table, spec))
		for _, exprs := range spec.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		}
	}
	return conn.Flush()
}

// lines is how many lines list prints for an intact table.
func (t *Table) lines(c Config) (n int) {
	for _, spec := range chains(c, t.check, setsOf(t.table())) {
		n += 1 + len(spec.rules)
	}
	return n
}

// read returns what the sets hold, and whether the chains are as written.
func (t *Table) read() (elements, bool, error) {
	printed, exists, err := t.list()
	if err != nil || !exists || printed != t.printed {
		return nil, false, err
	}
	have := elements{}
	conn, err := connect()
	if err != nil {
		return nil, false, err
	}
	for name, set := range setsOf(t.table()) {
		have[name] = map[string]bool{}
		all, err := conn.GetSetElements(set)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, nil
		} else if err != nil {
			return nil, false, err
		}
		for _, e := range all {
			have[name][string(e.Key)] = true
		}
	}
	return have, true, nil
}

// list prints the table's chains and rules, a line each, without counters.
func (t *Table) list() (string, bool, error) {
	conn, err := connect()
	if err != nil {
		return "", false, err
	}
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return "", false, err
	}
	var text strings.Builder
	exists := false
	for _, c := range all {
		if c.Table.Name != TableName(t.device) {
			continue
		}
		exists = true
		fmt.Fprintf(&text, "chain %s %s\n", c.Name, place(c))
		rules, err := conn.GetRules(c.Table, c)
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return "", false, nil
		} else if err != nil {
			return "", false, err
		}
		for _, r := range rules {
			text.WriteString(printRule(r.Exprs) + "\n")
		}
	}
	return text.String(), exists, nil
}

// place is where a base chain is hooked, and its policy.
func place(c *nftables.Chain) string {
	if c.Hooknum == nil || c.Priority == nil {
		return ""
	}
	policy := nftables.ChainPolicyAccept
	if c.Policy != nil {
		policy = *c.Policy
	}
	return fmt.Sprintf("hook %d priority %d policy %d", *c.Hooknum, *c.Priority, policy)
}

func printRule(exprs []expr.Any) string {
	var words []string
	for _, e := range exprs {
		if _, counts := e.(*expr.Counter); !counts {
			words = append(words, fmt.Sprintf("%T%+v", e, e))
		}
	}
	return strings.Join(words, " ")
}

// Check returns what Ensure would find changed; it changes nothing on the host.
// A Table that wrote nothing yet only checks that there is a table. Where the
// kernel's rules did not change since all was right, it costs one netlink
// message.
func (t *Table) Check() (wrong []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := TableName(t.device)
	if t.applied == nil {
		_, exists, err := t.list()
		if err != nil {
			return nil, explain(err)
		}
		if !exists {
			return []string{fmt.Sprintf("table ip %s is missing", name)}, nil
		}
		return nil, nil
	}
	generation, err := ruleset.Generation()
	if err != nil {
		return nil, explain(err)
	}
	if generation == t.verified {
		return nil, nil
	}
	have, intact, err := t.read()
	switch {
	case err != nil:
		return nil, explain(err)
	case !intact:
		return []string{fmt.Sprintf("table ip %s was changed or removed", name)}, nil
	case !have.equal(t.applied):
		return []string{fmt.Sprintf("sets of table ip %s were changed", name)}, nil
	}
	t.verified = generation
	return nil, nil
}

// Remove deletes the device's table. Without one, and where the kernel has no
// nf_tables, it does nothing.
func Remove(device string) error {
	t, err := New(device, 0)
	if err != nil {
		return err
	}
	conn, err := connect()
	if err != nil {
		return explain(err)
	}
	all, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err = explain(err); errors.Is(err, ErrUnsupported) {
		return nil
	}
	if err != nil || !slices.ContainsFunc(all, func(other *nftables.Table) bool { return other.Name == TableName(device) }) {
		return err
	}
	conn.DelTable(t.table())
	return explain(conn.Flush())
}

func (t *Table) table() *nftables.Table {
	return &nftables.Table{Name: TableName(t.device), Family: nftables.TableFamilyIPv4}
}

func chainOf(table *nftables.Table, spec chainSpec) *nftables.Chain {
	c := &nftables.Chain{Name: spec.name, Table: table}
	if spec.hook != nil {
		policy := nftables.ChainPolicyAccept
		c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeFilter, spec.hook, nftables.ChainPriorityRef(priority), &policy
	}
	return c
}

// setNames are the sets in the order in which they are made.
var setNames = []string{setData, setGossip, setMembers, setUnderlay, setKinds}

// chunk is how many elements go into one message: an attribute holds 64 KB, an
// element takes 24 to 32 bytes.
const chunk = 1000

// queueChanges adds to a transaction what brings the sets from have to want.
func queueChanges(conn *nftables.Conn, sets map[string]*nftables.Set, have, want elements) error {
	for _, name := range setNames {
		if err := each(minus(have[name], want[name]), func(e []nftables.SetElement) error {
			return conn.SetDeleteElements(sets[name], e)
		}); err != nil {
			return err
		}
		if err := each(minus(want[name], have[name]), func(e []nftables.SetElement) error {
			return conn.SetAddElements(sets[name], e)
		}); err != nil {
			return err
		}
	}
	return nil
}

// each calls do with the keys as elements, a chunk at a time.
func each(keys []string, do func([]nftables.SetElement) error) error {
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		batch := make([]nftables.SetElement, n)
		for i, k := range keys[:n] {
			batch[i] = nftables.SetElement{Key: []byte(k)}
		}
		if err := do(batch); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// sendBuffer has room for a transaction of maxMembers, in bytes: the kernel
// takes a transaction in one piece or not at all.
const sendBuffer = 16 << 20

// connect prepares a connection; a socket is opened for each exchange.
func connect() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetWriteBuffer(sendBuffer) }))
}

// explain marks the errors of a kernel that lacks something.
func explain(err error) error {
	if err == nil {
		return nil
	}
	for _, lacking := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOENT} {
		if errors.Is(err, lacking) {
			return fmt.Errorf("%w: %w", ErrUnsupported, err)
		}
	}
	return fmt.Errorf("ports: table of nf_tables: %w", err)
}
