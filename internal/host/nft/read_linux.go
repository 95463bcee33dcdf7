// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/nftables"
)

// found is what there is of a table.
type found struct {
	exists   bool
	chains   map[string]string // name, place
	sets     map[string]foundSet
	counters map[string]Count
}

// foundSet is a set as the kernel has it.
type foundSet struct {
	key     string // name of its type
	plain   bool   // neither a map nor of intervals
	counted bool   // each key has a counter
	keys    map[string]bool
}

// fits reports whether a set can stay for the one that is wanted.
func (f foundSet) fits(want Set) bool {
	return f.plain && f.key == want.Key.Name && (f.counted == want.Counted || len(f.keys) == 0)
}

// survey reads everything that a table holds but its rules.
func (t *Table) survey() (found, error) {
	f := found{chains: map[string]string{}, sets: map[string]foundSet{}, counters: map[string]Count{}}
	conn, err := connect()
	if err != nil {
		return f, err
	}
	if f.exists, err = t.exists(conn); err != nil || !f.exists {
		return f, err
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return f, err
	}
	for _, c := range chains {
		if c.Table.Name == t.name {
			f.chains[c.Name] = placeRead(c)
		}
	}
	sets, err := conn.GetSets(t.table())
	if err != nil {
		return f, err
	}
	for _, s := range sets {
		if s.Anonymous {
			continue // goes with its rule
		}
		have := foundSet{key: s.KeyType.Name, plain: !s.IsMap && !s.Interval, counted: true, keys: map[string]bool{}}
		all, err := conn.GetSetElements(s)
		if err != nil {
			return f, err
		}
		for _, e := range all {
			have.keys[string(e.Key)] = true
			have.counted = have.counted && e.Counter != nil
		}
		f.sets[s.Name] = have
	}
	f.counters, err = t.counters(conn)
	return f, err
}

// counters reads the named counters.
func (t *Table) counters(conn *nftables.Conn) (map[string]Count, error) {
	all, err := conn.GetObjects(t.table())
	if err != nil {
		return nil, err
	}
	counts := map[string]Count{}
	for _, o := range all {
		if c, ok := o.(*nftables.CounterObj); ok {
			counts[c.Name] = Count{Packets: c.Packets, Bytes: c.Bytes}
		}
	}
	return counts, nil
}

// Counters returns what the named counters say; nil before the first Ensure.
func (t *Table) Counters() (map[string]Count, error) { return counted(t, t.counters) }

// Counts returns what the counters of keys say, by set; nil before the first
// Ensure.
func (t *Table) Counts() (map[string]map[string]Count, error) { return counted(t, t.keyCounters) }

// counted reads counts with a connection; none before the first Ensure.
func counted[Counts any](t *Table, read func(*nftables.Conn) (Counts, error)) (counts Counts, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.applied == nil {
		return counts, nil
	}
	conn, err := connect()
	if err != nil {
		return counts, explain(err)
	}
	counts, err = read(conn)
	return counts, explain(err)
}

// keyCounters reads the counters of keys.
func (t *Table) keyCounters(conn *nftables.Conn) (map[string]map[string]Count, error) {
	sets := map[string]map[string]Count{}
	for _, s := range t.sets {
		if !s.Counted {
			continue
		}
		all, err := conn.GetSetElements(t.set(s))
		if err != nil {
			return nil, err
		}
		sets[s.Name] = make(map[string]Count, len(all))
		for _, e := range all {
			if e.Counter != nil {
				sets[s.Name][string(e.Key)] = Count{Packets: e.Counter.Packets, Bytes: e.Counter.Bytes}
			}
		}
	}
	return sets, nil
}

// Keys returns what the sets hold in the kernel, whichever process wrote them.
func (t *Table) Keys() (map[string]map[string]bool, error) {
	is, err := t.survey()
	if err != nil {
		return nil, explain(err)
	}
	all := map[string]map[string]bool{}
	for name, s := range is.sets {
		all[name] = s.keys
	}
	return all, nil
}

// read returns what the sets hold, and whether the rest is as written.
func (t *Table) read() (keys, bool, error) {
	printed, exists, err := t.list()
	if err != nil || !exists || printed != t.printed {
		return nil, false, err
	}
	have := keys{}
	conn, err := connect()
	if err != nil {
		return nil, false, err
	}
	for _, s := range t.sets {
		all, err := conn.GetSetElements(t.set(s))
		if err != nil { // removed meanwhile, perhaps: writing will tell
			return nil, false, nil
		}
		have[s.Name] = make(map[string]bool, len(all))
		for _, e := range all {
			if s.Counted && e.Counter == nil {
				return nil, false, nil
			}
			have[s.Name][string(e.Key)] = true
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
		if c.Table.Name != t.name {
			continue
		}
		exists = true
		fmt.Fprintf(&text, "chain %s %s\n", c.Name, placeRead(c))
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
