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

// Part finds stray bridges, as a part of the host. It changes nothing.
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

// Ensure changes nothing. Its error names each stray bridge, with advice.
// Bridges that cannot be read are no error.
func (p *Part) Ensure(context.Context) ([]string, error) {
	strays, _, lease, err := p.strays()
	if err != nil {
		return nil, nil
	}
	var all []error
	for _, s := range strays {
		all = append(all, host.Advise(errors.New(s.describe(lease)), p.advice(s)))
	}
	return nil, host.Join(all...)
}

// Check describes each stray bridge, and how it is moved away.
func (p *Part) Check(context.Context) (wrong []string, err error) {
	strays, network, lease, err := p.strays()
	for _, s := range strays {
		wrong = append(wrong, s.describe(lease)+": "+s.MoveAway(network))
	}
	return wrong, err
}

// Remove does nothing: bridges are not flanneld's.
func (*Part) Remove(context.Context) error { return nil }

// strays lists the stray bridges, with what they are compared with.
func (p *Part) strays() (all []Stray, network, lease netip.Prefix, err error) {
	p.mu.Lock()
	network, lease = p.network, p.lease
	p.mu.Unlock()
	if !network.IsValid() {
		return nil, network, lease, nil
	}
	found, err := p.list()
	if err != nil {
		return nil, network, lease, err
	}
	return Strays(found, network, lease), network, lease, nil
}

// advice is how a bridge gets a subnet of the lease. dockerd with live-restore
// keeps docker0's old one as long as containers run.
func (p *Part) advice(s Stray) string {
	if s.Name == Docker {
		return "stop its containers, then restart dockerd with the options in " + p.dockerFile +
			": docker stop $(docker ps -q); systemctl restart docker"
	}
	if network, ok := strings.CutPrefix(s.Name, "br-"); ok {
		return "stop its containers (docker compose down); then flanneld docker network create " + network +
			" makes a network of flanneld anew; put another one into the lease, or outside the network (docker network rm " + network + ")"
	}
	return "remove that network and make it again with a subnet in the lease, or outside the network"
}
