// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"sync"

	"flanneld/internal/host/nft"
	"flanneld/internal/host/rtnl"
	"flanneld/internal/host/ruleset"
)

// table is the kernel's side.
type table struct {
	kept *nft.Table
	name string

	mu         sync.Mutex // guards what follows
	asked      bool       // there was a look for Docker's table
	generation uint32     // of the kernel's rules, at the last look
	docker     bool       // Docker's table was there once; it goes for a moment when dockerd starts
}

func newTable(name string) *table { return &table{kept: nft.New(name), name: name} }

// bridgesOut names the bridges that lead to other hosts.
func bridgesOut() ([]string, error) { return rtnl.BridgesOut() }

// ensure writes the table. outside are bridges that lead to other hosts.
func (t *table) ensure(c Config, outside []string) ([]string, error) {
	marks, err := t.dockerUsesIt()
	if err != nil {
		return nil, err
	}
	return t.kept.Ensure(func(nft.SourceCheck) nft.Content { return c.content(marks, outside) })
}

// dockerUsesIt reports whether a dockerd has or had a table in nf_tables. It
// costs one netlink message where the kernel's rules did not change.
func (t *table) dockerUsesIt() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	generation, err := ruleset.Generation()
	if err == nil && t.asked && generation == t.generation {
		return t.docker, nil
	}
	there, err := nft.Exists(DockerTable)
	if err != nil {
		return false, err
	}
	t.asked, t.generation, t.docker = true, generation, there || t.docker
	return t.docker, nil
}

func (t *table) check() ([]string, error) { return t.kept.Check() }

func (t *table) remove() error {
	_, err := t.kept.Remove()
	return err
}

func (t *table) exists() bool {
	exists, err := nft.Exists(t.name)
	return err == nil && exists
}
