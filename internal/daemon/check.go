// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/envfile"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/guard"
	"flanneld/internal/host/link"
)

// Check compares what a stopped daemon left on this host with its subnet.env,
// part by part. It changes nothing. The error says why there is nothing to
// compare with.
func Check(ctx context.Context, c config.Config) ([]host.Finding, error) {
	if control.Answers(c.SocketPath()) {
		return nil, fmt.Errorf("a flanneld is running and answers on %s", c.SocketPath())
	}
	s, err := envfile.Read(c.SubnetPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is not there: flanneld had no lease since this host was started, or was cleaned up", c.SubnetPath())
	case err != nil:
		return nil, err
	}
	parts, err := newParts(c, nil)
	if err != nil {
		return nil, err
	}
	lease := s.Lease()
	_, err = parts.Want(guard.Target{
		Device: link.Config{Name: c.Device, Alias: aliasOf(c.Device), Addr: lease.Addr(), MTU: s.MTU, Network: s.Network, TxQueueLen: txQueueLen},
		Rules:  firewall.Config{Network: s.Network, Lease: lease, Device: c.Device, Masquerade: s.IPMasq},
	})
	if err != nil {
		return nil, err
	}
	return parts.List().Check(ctx), nil
}

// aliasOf is the device's alias: it names the node, and any node's will do.
func aliasOf(device string) string {
	alias, err := os.ReadFile("/sys/class/net/" + device + "/ifalias")
	if text := strings.TrimSpace(string(alias)); err == nil && strings.HasPrefix(text, link.AliasPrefix) {
		return text
	}
	return link.AliasPrefix
}
