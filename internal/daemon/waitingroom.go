package daemon

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"flanneld/internal/control"
)

// waitingRoom answers on the control socket while there is no node yet: what is
// waited for, and that nothing can be done meanwhile.
type waitingRoom struct {
	d      *daemon
	server *control.Server
	served chan error
	reason atomic.Pointer[string]
}

func (d *daemon) openWaitingRoom() (*waitingRoom, error) {
	w := &waitingRoom{d: d, served: make(chan error, 1)}
	w.say("starting")
	var err error
	if w.server, err = control.Listen(d.cfg.SocketPath(), w, d.log); err != nil {
		return nil, err
	}
	go func() { w.served <- w.server.Serve() }()
	return w, nil
}

// close gives the socket back; requests under way are answered.
func (w *waitingRoom) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = w.server.Shutdown(ctx) // a caller that does not read its answer
	<-w.served
}

func (w *waitingRoom) say(reason string) { w.reason.Store(&reason) }

func (w *waitingRoom) refuse() error { return errors.New(*w.reason.Load()) }

// Status says what is waited for.
func (w *waitingRoom) Status() control.Status {
	d := w.d
	out := control.Status{
		Version: d.version, PID: os.Getpid(), Uptime: control.SecondsOf(time.Since(d.started)),
		Node:     control.NodeName{Name: nodeName(d.cfg.NodeName)},
		Network:  control.Network{Prefix: d.cfg.Network},
		Lease:    control.Lease{State: "none", Waiting: *w.reason.Load(), PromisedBy: []control.NodeName{}},
		Device:   control.Device{Name: d.cfg.Device, State: control.DeviceAbsent},
		Security: security(d.cfg.KeyFile != ""),
		Lanes:    d.cfg.Lanes, Offloads: []control.Offload{}, Drops: map[string]uint64{},
		Host: control.Host{
			IPForward: ipForward(), Masquerade: d.cfg.IPMasq, SubnetFile: d.cfg.SubnetPath(), DockerFile: d.cfg.DockerPath(),
		},
		Conflicts: []control.Conflict{}, Process: process(),
	}
	d.judge(&out)
	return out
}

// Nodes has none: the state directory is not open yet.
func (w *waitingRoom) Nodes() control.Nodes {
	return control.Nodes{Health: w.Status().Health, Nodes: []control.Node{}}
}

// Route says why there is none.
func (w *waitingRoom) Route(a netip.Addr) control.Route {
	return control.Route{Address: a, Kind: control.RouteNone, Reason: *w.reason.Load(), Kernel: []control.KernelRoute{}}
}

// Join is refused.
func (w *waitingRoom) Join(context.Context, []string) (control.Joined, error) {
	return control.Joined{}, w.refuse()
}

// Leave is refused.
func (w *waitingRoom) Leave(context.Context) (control.Left, error) {
	return control.Left{}, w.refuse()
}

// Forget is refused.
func (w *waitingRoom) Forget(context.Context, string) (control.Node, error) {
	return control.Node{}, w.refuse()
}
