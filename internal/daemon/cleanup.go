package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ports"
	"flanneld/tun"
)

// Cleanup removes what a daemon with this configuration left on the host:
// device (with addresses and routes), firewall rules, files. It refuses while
// one runs, and removes nothing that is not flanneld's. It returns what it
// removed, also when it fails half way; it may be repeated.
func Cleanup(c config.Config) (removed []string, err error) {
	if control.Answers(c.SocketPath()) {
		return nil, fmt.Errorf("a flanneld is running and answers on %s: stop it first, or use `flanneld leave`", c.SocketPath())
	}
	device, err := removeDevice(c.Device)
	if err != nil {
		return nil, err
	}
	removed = append(removed, device...)
	// Not told whether there were any; without iptables there were none.
	if err := removeRules(c.Device); err != nil {
		return removed, err
	}
	for _, path := range []string{c.SubnetPath(), c.DockerPath(), c.SocketPath()} {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	return removed, nil
}

// removeTime bounds how long the removal of rules may take.
const removeTime = 20 * time.Second

// removeRules takes away the firewall rules, and the table in front of the
// ports.
func removeRules(device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	return errors.Join(firewall.Remove(ctx, device), ports.Remove(device))
}

// removeDevice deletes our device unless a daemon in another run directory uses
// it.
func removeDevice(name string) ([]string, error) {
	owner, err := link.Owned(name)
	if err != nil || owner == link.Absent {
		return nil, err
	}
	if err := probeDevice(name); errors.Is(err, tun.ErrBusy) {
		return nil, fmt.Errorf("a flanneld with another run directory is running and uses device %s: stop it first", name)
	} else if err != nil {
		return nil, err
	}
	if err := link.Remove(name); err != nil {
		return nil, err
	}
	return []string{"device " + name + ", its addresses and routes"}, nil
}
