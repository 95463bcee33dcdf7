// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"log/slog"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/peers"
)

// Reset makes the stopped daemon of this configuration give up its network: see
// peers.ResetState. Device, rules and files on the host stay as they are.
func Reset(c config.Config, log *slog.Logger) (control.Reset, error) {
	out := control.Reset{StateDir: c.StateDir, SetAside: []string{}}
	if control.Answers(c.SocketPath()) {
		return out, fmt.Errorf("a flanneld is running and answers on %s: stop it first", c.SocketPath())
	}
	r, err := peers.ResetState(c.StateDir, log)
	out.Subnet, out.KeptFor, out.Network.Prefix = r.Subnet, r.Others, r.Prefix
	if !r.Node.IsZero() {
		out.Node = r.Node.String()
	}
	if !r.Network.IsZero() {
		out.Network.ID = r.Network.String()
	}
	out.SetAside = append(out.SetAside, r.SetAside...)
	return out, err
}
