// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// Part finds a stray bridge, as a part of the host: one with a subnet of the
// network outside the lease of this node. It changes nothing.
type Part struct {
	dockerFile string
	list       func() ([]Bridge, error)

	mu             sync.Mutex
	network, lease netip.Prefix // zero: not known yet
}

// NewPart makes the part. dockerFile is the path of the options for dockerd.
func NewPart(dockerFile string) *Part { return &Part{dockerFile: dockerFile, list: List} }

// Want sets the network and the lease of this node in it; zero for none.
func (p *Part) Want(network, lease netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network, p.lease = network, lease
}

// Name is "bridge".
func (*Part) Name() string { return problem.PartBridge }

// Ensure changes nothing. Its error names a stray bridge, with advice. Bridges
// that cannot be read are no error.
func (p *Part) Ensure(ctx context.Context) ([]string, error) {
	stray, err := p.stray()
	if err != nil || stray == "" {
		return nil, nil
	}
	text, _, _ := strings.Cut(stray, ": ")
	return nil, host.Advise(errors.New(text), p.advice(text))
}

// Check describes a stray bridge, and how it is moved away.
func (p *Part) Check(context.Context) ([]string, error) {
	stray, err := p.stray()
	if err != nil || stray == "" {
		return nil, err
	}
	return []string{stray}, nil
}

// Remove does nothing: bridges are not flanneld's.
func (*Part) Remove(context.Context) error { return nil }

// stray describes a stray bridge, "" for none.
func (p *Part) stray() (string, error) {
	p.mu.Lock()
	network, lease := p.network, p.lease
	p.mu.Unlock()
	if !network.IsValid() {
		return "", nil
	}
	found, err := p.list()
	if err != nil {
		return "", err
	}
	return Stray(found, network, lease), nil
}

// advice is how a bridge gets a subnet of the lease. dockerd with live-restore
// keeps docker0's old one as long as containers run.
func (p *Part) advice(stray string) string {
	if strings.HasPrefix(stray, Docker+" ") {
		return "stop its containers, then restart dockerd with the options in " + p.dockerFile +
			": docker stop $(docker ps -q); systemctl restart docker"
	}
	return "remove that network and make it again with a subnet in the lease, or outside the network"
}
