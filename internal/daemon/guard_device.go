package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/link"
	"flanneld/internal/problem"
)

// deviceLoop keeps the overlay device, forwarding, and the files. It asks the
// kernel by netlink and /proc only, and so never waits long.
func (g *guard) deviceLoop(ctx context.Context) {
	changes, err := link.Watch(ctx)
	if err != nil {
		g.log.Debug("the kernel does not tell of changes of links", "error", err)
	}
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	var (
		soon     <-chan time.Time
		finished time.Time
		took     time.Duration
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			soon = sooner(soon, finished, took)
			continue
		case <-g.deviceWake:
		case <-soon:
			soon = nil
		case <-tick.C:
		}
		start := time.Now()
		g.deviceRound()
		finished, took = time.Now(), time.Since(start)
	}
}

// deviceRound looks at everything once. Where nothing is wrong it only reads.
func (g *guard) deviceRound() {
	g.keepSocket()
	g.device.Lock()
	t := g.current()
	if t != nil {
		g.keepDevice(t)
		g.keepForwarding(t)
	}
	g.device.Unlock()
	if t == nil {
		return
	}
	g.mu.Lock()
	files := t.files
	g.mu.Unlock()
	g.ensureFiles(t, files)
}

// keepDevice corrects the device. One that is gone is the forwarder's to
// notice.
func (g *guard) keepDevice(t *target) {
	repaired, err := link.Ensure(t.link)
	switch {
	case errors.Is(err, link.ErrNoDevice):
		return
	case err != nil:
		g.problems.Report("device", problem.Problem{Text: fmt.Sprintf("device %s cannot be repaired: %v", t.link.Name, err)})
	default:
		g.problems.Report("device")
	}
	if len(repaired) > 0 {
		g.log.Warn("restored device settings changed by another program", "device", t.link.Name, "changes", repaired)
		g.deviceRepaired()
	}
}

// keepForwarding keeps packets going between the overlay device and the
// containers' bridges. The kernel decides by the switch of the device that a
// packet comes in by; net.ipv4.ip_forward only sets them all.
func (g *guard) keepForwarding(t *target) {
	var found []problem.Problem
	changed, err := link.EnableForwarding()
	if changed {
		g.log.Info("net.ipv4.ip_forward was off, turned it on")
		g.mu.Lock()
		g.forwardingChanged = true
		g.mu.Unlock()
	}
	if err != nil {
		found = append(found, problem.Problem{Text: err.Error(), Advice: "sysctl -w net.ipv4.ip_forward=1 (for a container: docker run --sysctl net.ipv4.ip_forward=1)"})
	}
	repaired, err := link.EnsureForwarding(t.link.Name)
	if len(repaired) > 0 {
		g.log.Info("settings of the device corrected", "device", t.link.Name, "changes", repaired)
	}
	if err != nil && !errors.Is(err, link.ErrNoDevice) {
		found = append(found, problem.Problem{
			Text: err.Error(), Advice: fmt.Sprintf("sysctl -w net.ipv4.conf.%s.forwarding=1", t.link.Name),
		})
	}
	g.problems.Report("forwarding", append(found, bridgesNotForwarding(t)...)...)
}

// bridgesNotForwarding names the bridges with addresses of the lease whose
// switch keeps containers' packets from being forwarded. It changes nothing: the
// setting may be meant.
func bridgesNotForwarding(t *target) (found []problem.Problem) {
	all, err := bridge.List()
	if err != nil {
		return nil
	}
	for _, b := range all {
		if b.In(t.lease) {
			if on, err := link.Forwards(b.Name); err == nil && !on {
				found = append(found, problem.Problem{
					Text:   fmt.Sprintf("net.ipv4.conf.%s.forwarding is 0: packets of the containers on %s are not forwarded", b.Name, b.Name),
					Advice: fmt.Sprintf("sysctl -w net.ipv4.conf.%s.forwarding=1", b.Name),
				})
			}
		}
	}
	return found
}
