// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// LockAdvice is what to do about an iptables that does not end.
const LockAdvice = "find out what holds it (ps -ef | grep iptables; lsof /run/xtables.lock)"

// Part is the firewall rules as a part of the host.
type Part struct {
	device string

	mu    sync.Mutex
	rules *Firewall // nil: not known yet
}

// NewPart makes the part for an overlay device.
func NewPart(device string) *Part { return &Part{device: device} }

// Want sets the rules that should be there, nil for not known. It does not wait
// for an Ensure that is running: end its context.
func (p *Part) Want(f *Firewall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = f
}

func (p *Part) wanted() *Firewall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules
}

// Name is "firewall".
func (*Part) Name() string { return problem.PartFirewall }

// Ensure puts the rules in place. A host without iptables is ErrNoIPTables: its
// rules are the operator's.
func (p *Part) Ensure(ctx context.Context) ([]string, error) {
	f := p.wanted()
	if f == nil {
		return nil, nil
	}
	changes, err := f.Ensure(ctx)
	switch {
	case err == nil, errors.Is(err, ErrNoIPTables):
		return changes, err
	case errors.Is(err, ErrHangs):
		return changes, host.Advise(plain{err, ""}, LockAdvice+"; rules are tried again")
	}
	return changes, host.Advise(plain{err, "firewall rules cannot be put in place: "}, "run the iptables command by hand; rules are tried again")
}

// Check returns which chains and jumps are not in place.
func (p *Part) Check(ctx context.Context) ([]string, error) {
	f := p.wanted()
	if f == nil {
		return nil, nil
	}
	wrong, err := f.Check(ctx)
	if errors.Is(err, ErrNoIPTables) {
		return nil, nil
	}
	return wrong, err
}

// Remove takes away chains and jumps.
func (p *Part) Remove(ctx context.Context) error { return Remove(ctx, p.device) }

// plain is several errors as one problem, without the package's name: the name
// of the part says it already.
type plain struct {
	cause error
	begin string
}

func (p plain) Error() string {
	return p.begin + strings.ReplaceAll(fmt.Sprint(p.cause), "firewall: ", "")
}

func (p plain) Unwrap() error { return p.cause }

// Cause is what iptables or the kernel returned, without the words around it.
func Cause(err error) error {
	if p := (plain{}); errors.As(err, &p) {
		return p.cause
	}
	return err
}
