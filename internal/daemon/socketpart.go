// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// socketPart is the control socket as a part of the host. server is nil for a
// daemon that is gone.
type socketPart struct {
	path   string
	server *control.Server
}

// Name is "control".
func (socketPart) Name() string { return problem.PartControl }

// Ensure makes the socket again where it was removed.
func (p socketPart) Ensure(context.Context) ([]string, error) {
	if p.server == nil || p.server.InPlace() {
		return nil, nil
	}
	if err := p.server.Renew(); err != nil {
		return nil, host.Advise(err, "commands cannot reach this daemon; it is tried again")
	}
	return []string{"control socket " + p.path + " was removed"}, nil
}

// Check reports a socket that was removed.
func (p socketPart) Check(context.Context) ([]string, error) {
	if p.server == nil || p.server.InPlace() {
		return nil, nil
	}
	return []string{"control socket " + p.path + " was removed"}, nil
}

// Present names the socket where it exists.
func (p socketPart) Present() []string {
	if _, err := os.Lstat(p.path); err != nil {
		return nil
	}
	return []string{p.path}
}

// Remove deletes the socket. Connections that are open stay.
func (p socketPart) Remove(context.Context) error {
	if err := os.Remove(p.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
