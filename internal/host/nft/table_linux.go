// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/ruleset"
)

// Table keeps one table of family ip. Its methods may be called from several
// goroutines; they take turns.
type Table struct {
	name string

	mu        sync.Mutex
	applied   keys        // what the sets hold; nil: not written by this Table yet
	sets      []Set       // as they were written
	structure string      // of what was written
	printed   string      // the chains as the kernel listed them after they were written
	verified  uint32      // generation of the kernel's rules at which all was right
	created   bool        // there was no table before
	check     SourceCheck // the best that the kernel has not refused
}

// New returns a Table. Nothing is changed before Ensure.
func New(name string) *Table { return &Table{name: name, check: InAnyHook} }

// Limit makes the Table do with less than this kernel has, as on an older one.
func (t *Table) Limit(check SourceCheck) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.check = check
}

// SourceCheck is the best that the kernel has not refused yet.
func (t *Table) SourceCheck() SourceCheck {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.check
}

// Created reports whether Ensure made a table where none was.
func (t *Table) Created() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.created
}

// Ensure makes the table hold what is wanted, in one transaction: the old rules
// filter until the new ones do. Keys that stay keep their counts, and so do
// named counters, also those of an earlier process. It returns one sentence for
// each thing that was not as Ensure had left it, and none for changes of what
// is wanted. Where the kernel's rules did not change since the last call it
// costs one netlink message. The error is ErrUnsupported where the kernel lacks
// what is needed. content is called for the best check of sources first, and
// again for less where the kernel refuses that.
func (t *Table) Ensure(content func(SourceCheck) Content) (changed []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for check := t.check; check >= Nowhere; check-- {
		changed, err = t.ensure(content(check))
		if err == nil {
			t.check = check
			return changed, nil
		}
		// ENOENT is the kernel's word for a module that is missing. EOPNOTSUPP
		// is its word for an expression that it refuses in a hook.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EOPNOTSUPP) {
			break
		}
	}
	return changed, err
}

func (t *Table) ensure(want Content) (changed []string, err error) {
	generation, err := ruleset.Generation()
	if err != nil {
		return nil, explain(err)
	}
	have, intact := t.applied, t.applied != nil && generation == t.verified
	if !intact && t.applied != nil {
		if have, intact, err = t.read(); err != nil {
			return nil, explain(err)
		}
		if intact && !have.equal(t.applied) {
			changed = append(changed, fmt.Sprintf("sets of table %s were changed", t.name))
		}
	}
	if intact && want.structure() == t.structure && t.update(have, want, generation) == nil {
		return changed, nil
	}
	damaged := t.applied != nil && !intact
	said, err := t.write(want, damaged)
	return append(changed, said...), err
}

// update brings the sets from what they hold to what they should hold.
func (t *Table) update(have keys, want Content, generation uint32) error {
	wanted := want.keys()
	if !have.equal(wanted) {
		conn, err := connect()
		if err != nil {
			return err
		}
		if err := t.queueKeys(conn, want.Sets, have); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		generation++ // of this transaction; another one makes the next look a full one
	}
	t.applied, t.sets, t.verified = clone(wanted), want.Sets, generation
	return nil
}

// write makes the table what it should be, whatever is there: in place, and
// anew where that does not do.
func (t *Table) write(want Content, damaged bool) ([]string, error) {
	is, err := t.survey()
	if err != nil {
		return nil, explain(err)
	}
	again := t.applied != nil
	if !is.exists || t.rewrite(want, is) != nil {
		if err := t.replace(want); err != nil {
			return nil, explain(err)
		}
	}
	t.applied, t.sets, t.structure = clone(want.keys()), want.Sets, want.structure()
	t.created = t.created || !is.exists && !again
	if t.verified, err = ruleset.Generation(); err != nil {
		return nil, explain(err)
	}
	if t.printed, _, err = t.list(); err != nil {
		return nil, explain(err)
	}
	if strings.Count(t.printed, "\n") != want.lines() { // changed before it was read back
		t.verified, t.printed = 0, ""
	}
	switch {
	case !is.exists:
		return []string{fmt.Sprintf("table ip %s created", t.name)}, nil
	case damaged:
		return []string{fmt.Sprintf("table ip %s restored", t.name)}, nil
	}
	return nil, nil
}

// replace deletes a table of that name and makes it, as one transaction.
func (t *Table) replace(want Content) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	table := t.table()
	conn.AddTable(table) // so that there is one to delete
	conn.DelTable(table)
	conn.AddTable(table)
	if err := t.queue(conn, want, found{}); err != nil {
		return err
	}
	return conn.Flush()
}

// rewrite changes a table in one transaction, and keeps sets and counters.
func (t *Table) rewrite(want Content, is found) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	table := t.table()
	for name := range is.chains {
		conn.FlushChain(&nftables.Chain{Name: name, Table: table})
	}
	wanted := map[string]Chain{}
	for _, c := range want.Chains {
		wanted[c.Name] = c
	}
	for name, place := range is.chains {
		if c, ok := wanted[name]; !ok || c.place() != place {
			conn.DelChain(&nftables.Chain{Name: name, Table: table})
		}
	}
	specs := map[string]Set{}
	for _, s := range want.Sets {
		specs[s.Name] = s
	}
	for name, have := range is.sets {
		if s, ok := specs[name]; !ok || !have.fits(s) {
			conn.DelSet(&nftables.Set{Name: name, Table: table})
			delete(is.sets, name)
		}
	}
	for name := range is.counters {
		if !slices.Contains(want.Counters, name) {
			conn.DeleteObject(&nftables.CounterObj{Table: table, Name: name})
		}
	}
	if err := t.queue(conn, want, is); err != nil {
		return err
	}
	return conn.Flush()
}

// queue adds to a transaction what is wanted and not there yet. Chains that are
// there are empty.
func (t *Table) queue(conn *nftables.Conn, want Content, is found) error {
	table := t.table()
	have := keys{}
	for _, s := range want.Sets {
		if existing, ok := is.sets[s.Name]; ok {
			have[s.Name] = existing.keys
		} else if err := conn.AddSet(t.set(s), nil); err != nil {
			return err
		}
	}
	if err := t.queueKeys(conn, want.Sets, have); err != nil {
		return err
	}
	for _, name := range want.Counters {
		if _, ok := is.counters[name]; !ok {
			conn.AddObj(&nftables.CounterObj{Table: table, Name: name})
		}
	}
	for _, spec := range want.Chains {
		conn.AddChain(chainOf(table, spec))
	}
	for _, spec := range want.Chains {
		for _, exprs := range spec.Rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chainOf(table, spec), Exprs: exprs})
		}
	}
	return nil
}

// queueKeys adds to a transaction what brings the sets from what they have to
// their keys.
func (t *Table) queueKeys(conn *nftables.Conn, sets []Set, have keys) error {
	for _, s := range sets {
		if err := each(minus(have[s.Name], s.Keys), func(e []nftables.SetElement) error {
			return conn.SetDeleteElements(t.set(s), e)
		}); err != nil {
			return err
		}
		if err := each(minus(s.Keys, have[s.Name]), func(e []nftables.SetElement) error {
			return conn.SetAddElements(t.set(s), e)
		}); err != nil {
			return err
		}
	}
	return nil
}

// Check returns what Ensure would find changed; it changes nothing on the host.
// A Table that wrote nothing yet only checks that there is a table. Where the
// kernel's rules did not change since all was right, it costs one netlink
// message.
func (t *Table) Check() (wrong []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.applied == nil {
		if exists, err := Exists(t.name); err != nil || exists {
			return nil, err
		}
		return []string{fmt.Sprintf("table ip %s is missing", t.name)}, nil
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
		return []string{fmt.Sprintf("table ip %s was changed or removed", t.name)}, nil
	case !have.equal(t.applied):
		return []string{fmt.Sprintf("sets of table ip %s were changed", t.name)}, nil
	}
	t.verified = generation
	return nil, nil
}

// Exists reports whether the kernel has a table of that name.
func Exists(name string) (bool, error) {
	conn, err := connect()
	if err != nil {
		return false, explain(err)
	}
	exists, err := New(name).exists(conn)
	return exists, explain(err)
}

func (t *Table) exists(conn *nftables.Conn) (bool, error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	return slices.ContainsFunc(tables, func(have *nftables.Table) bool { return have.Name == t.name }), err
}

// Remove deletes the table, and reports whether there was one. Where the kernel
// has no nf_tables, it does nothing.
func (t *Table) Remove() (removed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied, t.verified = nil, 0
	conn, err := connect()
	if err != nil {
		return false, explain(err)
	}
	exists, err := t.exists(conn)
	if err = explain(err); err != nil || !exists {
		if errors.Is(err, ErrUnsupported) {
			return false, nil
		}
		return false, err
	}
	conn.DelTable(t.table())
	err = conn.Flush()
	return err == nil, explain(err)
}

func (t *Table) table() *nftables.Table {
	return &nftables.Table{Name: t.name, Family: nftables.TableFamilyIPv4}
}

func (t *Table) set(s Set) *nftables.Set {
	return &nftables.Set{Table: t.table(), Name: s.Name, KeyType: s.Key, KeyByteOrder: s.Order, Counter: s.Counted}
}

func chainOf(table *nftables.Table, spec Chain) *nftables.Chain {
	c := &nftables.Chain{Name: spec.Name, Table: table}
	if spec.Hook != nil {
		accept := policy
		c.Type, c.Hooknum, c.Policy = spec.kind(), spec.Hook, &accept
		c.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(spec.Priority))
	}
	return c
}

// chunk is how many keys go into one message: an attribute holds 64 KB, a key
// takes 24 to 40 bytes.
const chunk = 1000

// each calls do with the keys as elements, a chunk at a time.
func each(keys []string, do func([]nftables.SetElement) error) error {
	for some := range slices.Chunk(keys, chunk) {
		batch := make([]nftables.SetElement, len(some))
		for i, k := range some {
			batch[i] = nftables.SetElement{Key: []byte(k)}
		}
		if err := do(batch); err != nil {
			return err
		}
	}
	return nil
}

func clone(k keys) keys {
	all := keys{}
	for name, set := range k {
		all[name] = maps.Clone(set)
	}
	return all
}

// sendBuffer has room for a transaction of 65,536 keys, in bytes: the kernel
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
	return fmt.Errorf("nft: table of nf_tables: %w", err)
}
