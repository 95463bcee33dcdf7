// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/guard"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ruleset"
	"flanneld/peers"
	"flanneld/tun"
)

// newParts makes the one list of what flanneld keeps on this host. server is
// nil for a stopped daemon.
func newParts(c config.Config, server *control.Server) (*guard.Parts, error) {
	return guard.NewParts(guard.Places{
		Device: c.Device, RunDir: c.RunDir, SubnetFile: c.SubnetPath(), DockerFile: c.DockerPath(), DockerConfig: c.DockerConfig,
		UID: uint32(os.Geteuid()), Socket: socketPart{c.SocketPath(), server},
	})
}

// beginGuard starts the guard, with the table in front of the ports: they are
// open from now on.
func (d *daemon) beginGuard() (err error) {
	if d.parts, err = newParts(d.cfg, d.server); err != nil {
		return err
	}
	d.planes.totals.Dropped = d.shortcutDropped
	if err := d.removePlainPaths(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.hub = ruleset.NewHub()
	hubEnded, err := d.hub.Start(ctx)
	if err != nil {
		d.log.Debug("nf_tables does not report changes", "error", err)
	}
	d.guard = guard.New(d.parts, d.hub, d.problems, d.log)
	d.guard.Follow(d.repaired)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.guard.Run(ctx)
		<-hubEnded
	}()
	d.endGuard = func() {
		d.guard.Release()
		cancel()
		select {
		case <-ended:
		case <-time.After(answerTime):
			d.log.Warn("the guard did not end in time")
		}
	}
	d.protectPorts(d.node.Snapshot())
	return nil
}

// protectPorts hands the guard the ports that only the daemon may reach.
func (d *daemon) protectPorts(s *peers.Snapshot) {
	u := d.watch.Here()
	d.guard.Protect(portMembers(s, d.cfg.StaticPeers, u.Addr, d.cfg.Port, d.cfg.GossipPort), u.Interface)
}

// withdrawPorts removes the table where this start changed nothing else on the
// host. Otherwise it stays, as the device does.
func (d *daemon) withdrawPorts() {
	if d.guard == nil || d.planes.opened || !d.parts.Ports.Created() {
		return
	}
	if err := d.parts.Ports.Remove(context.Background()); err != nil {
		d.log.Error("not removed", "error", err)
	}
}

// checkTime bounds how long status waits for the check of all parts.
const checkTime = 2 * time.Second

// checkHost checks every part on the host.
func (d *daemon) checkHost() []host.Finding {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	return d.parts.List().Check(ctx)
}

// removeTime bounds how long the removal of all parts may take.
const removeTime = 20 * time.Second

// takeDown removes every part from the host, when the node leaves its network
// and for a daemon that is gone. It refuses while another flanneld uses the
// device: the rules are that one's as well. It returns what it removed, also
// when it fails half way.
func takeDown(device string, parts *guard.Parts) (removed []string, err error) {
	if err := vacant(device); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	return parts.List().Remove(ctx)
}

// vacant refuses a device that another flanneld uses.
func vacant(device string) error {
	owner, err := link.Owned(device)
	if owner != link.Ours {
		if errors.Is(err, link.ErrForeign) {
			return nil // it is not touched
		}
		return err
	}
	if err := probeDevice(device); errors.Is(err, tun.ErrBusy) {
		return fmt.Errorf("a flanneld with another run directory is running and uses device %s: stop it first", device)
	} else if err != nil {
		return err
	}
	return nil
}
