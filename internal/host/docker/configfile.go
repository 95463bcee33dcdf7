// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// maxConfig bounds what is read of daemon.json, in bytes.
const maxConfig = 1 << 20

// ConfigFile finds what in dockerd's daemon.json does not fit the lease, as a
// part of the host. The file is the operator's, and is not changed.
type ConfigFile struct {
	path string

	mu             sync.Mutex
	network, lease netip.Prefix // zero: not known yet
	mtu            int
}

// NewConfigFile makes the part. A file that is not there is no problem.
func NewConfigFile(path string) *ConfigFile { return &ConfigFile{path: path} }

// Want sets the overlay network, the lease of this node in it, and the MTU of
// the overlay device in bytes; zero for none.
func (c *ConfigFile) Want(network, lease netip.Prefix, mtu int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.network, c.lease, c.mtu = network, lease, mtu
}

// Name is "daemon.json".
func (*ConfigFile) Name() string { return problem.PartDockerConfig }

// Ensure changes nothing. Its error names what does not fit, with advice. A
// file that cannot be read is none: dockerd says why.
func (c *ConfigFile) Ensure(ctx context.Context) ([]string, error) {
	stale, _ := c.Check(ctx)
	var all []error
	for _, s := range stale {
		all = append(all, host.Advise(errors.New(s), c.advice()))
	}
	return nil, host.Join(all...)
}

func (c *ConfigFile) advice() string {
	return fmt.Sprintf("remove the networks that were made from it (docker compose down), put what flanneld docker-opts --json prints into %s, and restart dockerd (systemctl restart docker)", c.path)
}

// Check returns what does not fit the lease.
func (c *ConfigFile) Check(context.Context) ([]string, error) {
	c.mu.Lock()
	network, lease, mtu := c.network, c.lease, c.mtu
	c.mu.Unlock()
	if !network.IsValid() || c.path == "" {
		return nil, nil
	}
	file, err := os.Open(c.path)
	if err != nil {
		return nil, nil
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxConfig))
	if err != nil {
		return nil, nil
	}
	stale := StalePools(content, network, lease, mtu)
	for i, s := range stale {
		stale[i] = c.path + ": " + s
	}
	return stale, nil
}

// Remove does nothing: the file is the operator's.
func (*ConfigFile) Remove(context.Context) error { return nil }
