// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"flanneld/internal/dataplane"
	"flanneld/internal/seal"
	"flanneld/peers"
)

// sealing is what a daemon of a sealed network has beside its planes. The zero
// value is that of any other network.
type sealing struct {
	sealer atomic.Pointer[dataplane.Sealer] // nil: not begun; only Run's goroutine stores
	end    func()                           // nil: not begun
}

// prepareKey makes the key of a new sealed network, where --key-file names
// none. It checks every other key.
func (d *daemon) prepareKey() error {
	path := d.cfg.KeyFile
	if path == "" {
		return nil
	}
	if d.cfg.Sealed && !d.cfg.Given("key-file") {
		_, err := os.Lstat(path)
		switch missing := errors.Is(err, fs.ErrNotExist); {
		case missing && !d.cfg.Founds():
			return fmt.Errorf("--sealed: no cluster key in %s: type `flanneld token` on a member and do what it prints, or name the key with --key-file", path)
		case missing:
			if err := peers.MakeKey(d.cfg.StateDir, path); err != nil {
				return err
			}
			d.log.Info("made a cluster key for a new sealed network; `flanneld token` prints what to type on the next host", "file", path)
		}
	}
	return peers.CheckKey(path)
}

// beginSealing makes the sessions of a sealed network, as soon as that is
// known.
func (d *daemon) beginSealing(s *peers.Snapshot) error {
	if !d.cfg.Sealed || d.sealing.sealer.Load() != nil || !s.Network.Prefix.IsValid() || s.Self.Start == 0 {
		return nil
	}
	secrets, err := d.node.SealSecrets()
	if err != nil {
		return err
	}
	sealer, err := d.planes.settings.NewSealer(s.Network.ID(), s.Self, secrets, d.suites())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sealer.Run(ctx)
	}()
	d.sealing.sealer.Store(sealer)
	d.sealing.end = func() { cancel(); <-ended }
	d.planes.routes.OnRoam(d.events.roamed)
	d.planes.routes.Seal(sealer)
	return nil
}

// sealStatus is what the sessions are doing, for a view.
func (d *daemon) sealStatus() dataplane.SealStatus {
	if sealer := d.sealing.sealer.Load(); sealer != nil {
		return sealer.Status()
	}
	return dataplane.SealStatus{}
}

// endSealing wipes all keys.
func (d *daemon) endSealing() {
	if d.sealing.end != nil {
		d.sealing.end()
		d.sealing.end = nil
	}
}

// suites are the ones that this node announces.
func (d *daemon) suites() []seal.Suite { return seal.Preferred() }

// rekey hands the sessions the cluster keys that were read again.
func (d *daemon) rekey() error {
	sealer := d.sealing.sealer.Load()
	if sealer == nil {
		return nil
	}
	secrets, err := d.node.SealSecrets()
	if err != nil {
		return err
	}
	return sealer.SetCluster(secrets)
}

// removePlainPaths removes the kernel paths and the short-cut that an earlier
// start in another network has left: by them packets would leave in the clear.
func (d *daemon) removePlainPaths() error {
	if !d.cfg.Sealed {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	if err := errors.Join(d.parts.Paths.Remove(ctx), d.parts.Shortcut.Remove(ctx)); err != nil {
		return fmt.Errorf("--sealed: what an earlier start has left in the kernel would carry packets in the clear and cannot be removed: %w; run `flanneld cleanup`", err)
	}
	return nil
}
