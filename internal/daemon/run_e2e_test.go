// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/link"
	"flanneld/internal/host/link/linktest"
)

// started is a daemon that runs in this process.
type started struct {
	*control.Client
	cfg   config.Config
	log   *lockedText
	end   context.CancelFunc
	ended chan error
}

// lockedText is a log that is read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a daemon until the test ends. dir keeps its files.
func start(t *testing.T, dir string, flags map[string][]string) *started {
	t.Helper()
	all := map[string][]string{
		"state-dir": {filepath.Join(dir, "state")}, "run-dir": {filepath.Join(dir, "run")}, "realtime": {"off"}, "node-name": {"n"},
	}
	for name, values := range flags {
		all[name] = values
	}
	c, err := config.Load(all, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	s := &started{Client: control.NewClient(c.SocketPath()), cfg: c, log: &lockedText{}, ended: make(chan error, 1)}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	go func() {
		s.ended <- Run(ctx, Options{Config: c, Version: "test", Log: slog.New(slog.NewTextHandler(s.log, nil)), Reload: make(chan os.Signal)})
	}()
	t.Cleanup(end)
	return s
}

// wait returns the first status that fits.
func (s *started) wait(t *testing.T, what string, fits func(control.Status) bool) control.Status {
	t.Helper()
	var last control.Status
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		status, err := s.Status(t.Context())
		if err == nil && fits(status) {
			return status
		}
		last = status
		select {
		case err := <-s.ended:
			t.Fatalf("%s: the daemon ended: %v\n%s", what, err, s.log)
		default:
		}
	}
	t.Fatalf("%s: status is %+v\n%s", what, last, s.log)
	return last
}

func ready(s control.Status) bool {
	return s.Lease.State == "confirmed" && s.Device.State == control.DeviceUp && s.Host.ReadyAfter > 0
}

// stop ends the daemon in order.
func (s *started) stop(t *testing.T) {
	t.Helper()
	s.end()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Fatalf("it ended with %v\n%s", err, s.log)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end\n%s", s.log)
	}
}

// shortDir is a directory with a short path, as a socket needs.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestADaemonStartsAgainWithItsLeaseAndLeaves(t *testing.T) {
	linktest.Underlay(t)
	dir := shortDir(t)
	flags := map[string][]string{
		"static-peer": {"10.244.200.0/24=192.168.7.9:8285,10.244.201.0/24=192.168.7.1:8285"}, "shortcut": {"off"},
	}
	d := start(t, dir, flags)
	first := d.wait(t, "first start", ready)
	if first.Underlay.Address.String() != "192.168.7.1" || first.Node.Name != "n" || !exists(d.cfg.SubnetPath()) || !exists(d.cfg.DockerPath()) {
		t.Errorf("underlay %+v, node %+v", first.Underlay, first.Node)
	}
	nodes, err := d.Nodes(t.Context())
	if err != nil || len(nodes.Nodes) != 2 || strings.Join(nodes.Nodes[0].Capabilities, " ") != "udp/1" || nodes.Nodes[1].State != control.StateStatic {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	route, err := d.Route(t.Context(), netip.MustParseAddr("10.244.200.7"))
	if err != nil || route.Kind != control.RouteVia || route.Endpoint.String() != "192.168.7.9:8285" || len(route.Kernel) == 0 || route.Kernel[0].Device != "flannel0" {
		t.Errorf("route %+v, %v", route, err)
	}
	if _, err := d.Forget(t.Context(), "no-such-node"); err == nil {
		t.Error("forgot a node that is not there")
	}
	if joined, err := d.Join(t.Context(), []string{"192.168.7.77"}); err != nil || joined.Failed == "" {
		t.Errorf("joined %+v, %v", joined, err)
	}
	if _, err := d.Join(t.Context(), []string{"a b"}); err == nil {
		t.Error("took an address that makes no sense")
	}
	d.stop(t)
	if owner, err := link.Owned("flannel0"); err != nil || owner != link.Ours {
		t.Errorf("after a stop the device is %v, %v", owner, err)
	}
	d = start(t, dir, flags)
	second := d.wait(t, "second start", ready)
	if second.Lease.Subnet != first.Lease.Subnet || second.Node.ID != first.Node.ID {
		t.Errorf("lease %s, before %s", second.Lease.Subnet, first.Lease.Subnet)
	}
	if _, err := Cleanup(d.cfg); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("cleanup beside a daemon: %v", err)
	}
	left, err := d.Leave(t.Context())
	if err != nil || left.Subnet != first.Lease.Subnet || len(left.Notes) != 0 {
		t.Errorf("left %+v, %v", left, err)
	}
	if err := <-d.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if owner, err := link.Owned("flannel0"); err != nil || owner != link.Absent || exists(d.cfg.SubnetPath()) || exists(d.cfg.DockerPath()) {
		t.Errorf("after leave the device is %v, %v", owner, err)
	}
}

func TestADeletedDeviceIsMadeAgain(t *testing.T) {
	linktest.Underlay(t)
	d := start(t, shortDir(t), nil)
	before := d.wait(t, "start", ready)
	linktest.Run(t, "ip link delete flannel0")
	after := d.wait(t, "repair", func(s control.Status) bool { return ready(s) && s.Host.DeviceRepairs > before.Host.DeviceRepairs })
	if after.Lease.Subnet != before.Lease.Subnet {
		t.Errorf("another lease: %s", after.Lease.Subnet)
	}
	d.stop(t)
	if removed, err := Cleanup(d.cfg); err != nil || len(removed) == 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
}

// The host loses the address in use, and has another on the same interface.
func TestADaemonMovesToAnotherAddress(t *testing.T) {
	linktest.Underlay(t)
	linktest.Run(t, "sysctl -q -w net.ipv4.conf.eth0.promote_secondaries=1")
	d := start(t, shortDir(t), nil)
	d.wait(t, "start", ready)
	linktest.Run(t, "ip address del 192.168.7.1/24 dev eth0")
	moved := d.wait(t, "move", func(s control.Status) bool { return ready(s) && s.Underlay.Address.String() == "192.168.7.2" })
	if moved.Endpoint.String() != "192.168.7.2:8285" || !strings.Contains(d.log.String(), "moved to another underlay address") {
		t.Errorf("endpoint %s\n%s", moved.Endpoint, d.log)
	}
	d.stop(t)
	if _, err := Cleanup(d.cfg); err != nil {
		t.Error(err)
	}
}

// A child process that is about to become iptables has this process's files for
// a moment. The device is free as soon as it has become that.
func TestADeviceThatIsHeldForAMomentIsWaitedFor(t *testing.T) {
	linktest.Underlay(t)
	linktest.Run(t, "sysctl -q -w net.ipv4.conf.eth0.promote_secondaries=1")
	d := start(t, shortDir(t), nil)
	d.wait(t, "start", ready)
	held := attach(t, "flannel0")
	linktest.Run(t, "ip address del 192.168.7.1/24 dev eth0")
	const alone = `"numqueues":1,` // the daemon has closed its own
	for range 500 {
		if text, _ := linktest.Try("ip -d -j link show flannel0"); strings.Contains(strings.ReplaceAll(text, " ", ""), alone) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	held.Close()
	d.wait(t, "move", func(s control.Status) bool { return ready(s) && s.Underlay.Address.String() == "192.168.7.2" })
	d.stop(t)
	if _, err := Cleanup(d.cfg); err != nil {
		t.Error(err)
	}
}

// attach opens one more queue of a TUN device.
func attach(t *testing.T, device string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	queue := os.NewFile(uintptr(fd), "queue")
	t.Cleanup(func() { queue.Close() })
	request, err := unix.NewIfreq(device)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	return queue
}

// What cannot work is found before anything on the host is changed.
func TestAStartThatCannotWorkChangesNothing(t *testing.T) {
	linktest.Underlay(t)
	linktest.Script(t, "ip link add other type veth peer name other1\nip address add 10.244.7.1/24 dev other\nip link set other up\nip link set other1 up")
	defer linktest.Try("ip link delete other")
	for name, c := range map[string]struct {
		flags map[string][]string
		words string
	}{
		"MTU":         {map[string][]string{"mtu": {"9000"}}, "give at most 1472"},
		"a static":    {map[string][]string{"network": {"10.99.0.0/16"}, "static-peer": {"10.99.9.0/24=127.0.0.1:8285"}}, "loopback"},
		"an overlap":  {nil, "overlaps"},
		"no such key": {map[string][]string{"key-file": {"/no/such/key"}}, "/no/such/key"},
	} {
		d := start(t, shortDir(t), c.flags)
		select {
		case err := <-d.ended:
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: it ended with %v, want %q", name, err, c.words)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: it started\n%s", name, d.log)
			d.end()
			<-d.ended
		}
		if owner, err := link.Owned("flannel0"); err != nil || owner != link.Absent {
			t.Errorf("%s: the device is %v, %v", name, owner, err)
		}
	}
}

func TestAStopWhileTheUnderlayIsWaitedForIsNoError(t *testing.T) {
	d := start(t, shortDir(t), map[string][]string{"iface": {"no-such-iface"}})
	d.wait(t, "waiting", func(s control.Status) bool { return strings.Contains(s.Lease.Waiting, "no-such-iface") })
	d.end()
	if err := <-d.ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
