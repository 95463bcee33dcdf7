// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"net"
	"net/netip"

	"flanneld/internal/host/nft"
)

// table is the kernel's side.
type table struct {
	name string
	uid  uint32
	kept *nft.Table
}

func newTable(name string, uid uint32) *table {
	return &table{name: name, uid: uid, kept: nft.New(name)}
}

// ensure writes the table. known: the peers are known; otherwise those of an
// earlier process go on.
func (t *table) ensure(c Config, peers []Peer, known bool) ([]string, error) {
	k := c.keysOf(peers)
	if !known {
		there, err := t.kept.Keys()
		if err != nil {
			return nil, err
		}
		k = c.keysIn(there)
	}
	return t.kept.Ensure(func(check nft.SourceCheck) nft.Content { return c.content(k, t.uid, check == nft.InAnyHook) })
}

func (t *table) check() ([]string, error) { return t.kept.Check() }

func (t *table) remove() (bool, error) { return t.kept.Remove() }

func (t *table) exists() bool {
	exists, err := nft.Exists(t.name)
	return err == nil && exists
}

// neighbors are the MAC addresses by prefix that the table has, whichever
// process wrote it.
func (t *table) neighbors() map[netip.Prefix]net.HardwareAddr {
	sets, err := t.kept.Keys()
	if err != nil {
		return nil
	}
	all := map[netip.Prefix]net.HardwareAddr{}
	for id, keys := range (Config{Direct: true}).keysIn(sets).senders {
		if id.path != Direct {
			continue
		}
		for key := range keys {
			all[id.prefix(key)] = net.HardwareAddr(key[:macLen])
		}
	}
	return all
}

// traffic returns what the counters of peers say. Only peers that are given
// have a count.
func (t *table) traffic(c Config, peers []Peer) (arrived map[Key]Count, sent map[netip.Prefix]Count) {
	sets, err := t.kept.Counts()
	if err != nil || sets == nil {
		return nil, nil
	}
	arrived, sent = map[Key]Count{}, map[netip.Prefix]Count{}
	for id, keys := range c.keysOf(peers).senders {
		counts := sets[id.name()]
		for key := range keys {
			prefix, n := id.prefix(key), counts[key]
			if id.path == receivers {
				sent[prefix] = Count(n)
				continue
			}
			k := Key{prefix, id.path}
			arrived[k] = Count{arrived[k].Packets + n.Packets, arrived[k].Bytes + n.Bytes}
		}
	}
	return arrived, sent
}

// refused returns what the counters of dropped packets say.
func (t *table) refused() map[string]Count {
	counters, err := t.kept.Counters()
	if err != nil || counters == nil {
		return nil
	}
	dropped := map[string]Count{}
	for _, path := range append([]string{Sent}, paths...) {
		if n, ok := counters[refused(path)]; ok {
			dropped[path] = Count(n)
		}
	}
	return dropped
}
