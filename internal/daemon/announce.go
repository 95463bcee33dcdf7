// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/docker"
	"flanneld/internal/host/envfile"
	"flanneld/internal/problem"
	"flanneld/internal/view"
	"flanneld/peers"
)

// announce writes the files and reports readiness, once for every plane: when
// it is in place and the lease it is for still holds.
func (d *daemon) announce(s *peers.Snapshot) error {
	p := d.planes.current()
	if p == nil || p.settled != nil || p.announced || s.Lease != peers.Confirmed || s.Self.Lease.Prefix != p.Lease() {
		return nil
	}
	p.announced = true
	if err := d.writeFiles(p); err != nil {
		return err
	}
	if after := time.Since(d.started); d.ready.CompareAndSwap(0, int64(after)) {
		d.log.Info("ready", "lease", p.Lease(), "after", after.Round(time.Millisecond))
	}
	d.cluster.report(s)
	d.notify.send("READY=1", "STATUS="+view.StatusLine(s))
	return nil
}

func (d *daemon) writeFiles(p *plane) error {
	env := envfile.Subnet{Network: p.Network(), Subnet: envfile.FirstAddress(p.Lease()), MTU: d.mtu, IPMasq: d.cfg.IPMasq}.Bytes()
	forDocker, err := docker.Opts(env, docker.Options{Key: d.cfg.DockerKey, Part: d.cfg.DockerPart})
	if err != nil {
		return fmt.Errorf("--docker-part %s: %w", d.cfg.DockerPart, err)
	}
	if err := writeFile(d.cfg.SubnetPath(), env, "--subnet-file"); err != nil {
		return err
	}
	if err := writeFile(d.cfg.DockerPath(), forDocker, "--docker-file"); err != nil {
		return err
	}
	d.guard.KeepFiles(env, forDocker)
	return nil
}

// writeFile replaces a file that other programs read; flag names another one.
func writeFile(path string, content []byte, flag string) error {
	err := envfile.Write(path, content)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: make room, or name another file with %s", err, flag)
	case err != nil:
		return fmt.Errorf("%w: make it writable, or name another file with %s", err, flag)
	}
	return nil
}

// tell logs what is waited for, and passes the state on, when either is news.
func (d *daemon) tell(s *peers.Snapshot) {
	if s.Lease == peers.Confirmed {
		d.waiting = nil
	}
	d.reportState(s)
	if key := withoutNumbers(s.Waiting); key != "" && s.Unwritten == "" && !d.waiting[key] {
		if d.waiting == nil {
			d.waiting = map[string]bool{}
		}
		d.waiting[key] = true
		d.log.Info("waiting", "reason", view.WaitingFor(s), "lease", s.Lease)
	}
	d.notify.send("STATUS=" + view.StatusLine(s))
}

// reportState puts a state directory that cannot be written to on the list of
// problems. With a confirmed lease traffic goes on, but other nodes get no
// promise from here, and a restart finds what was written last.
func (d *daemon) reportState(s *peers.Snapshot) {
	if s.Unwritten == "" {
		d.problems.Report(problem.PartState)
		return
	}
	d.problems.Report(problem.PartState, problem.Problem{
		Text:   s.Unwritten,
		Advice: "until then this node grants no lease to others (df " + d.cfg.StateDir + "; mount); it is tried again",
	})
}

// withoutNumbers leaves figures and addresses out of a line: a claim goes from
// candidate to candidate, and waits for the same nodes.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// dismantle removes what was set up on the host, after the lease was handed
// back. It does what it can, and returns what it could not do.
func (d *daemon) dismantle() (notes []string) {
	d.closePlane()
	d.endGuard() // or it would put back what is removed here
	_, err := takeDown(d.cfg.Device, d.parts)
	for _, one := range host.Errors(err) {
		d.log.Error("not removed", "error", one)
		notes = append(notes, one.Error())
	}
	if err := d.cluster.withdraw(); err != nil {
		d.log.Warn("the cluster was not told", "error", err)
		notes = append(notes, err.Error())
	}
	d.log.Info("left the network: device, rules and files are removed")
	return notes
}
