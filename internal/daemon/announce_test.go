// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

// A claim that goes from candidate to candidate, with other counts, waits for
// the same.
func TestFiguresMakeNoNews(t *testing.T) {
	first, second := withoutNumbers("2 of 5 promised 10.244.9.0/24; no answer from c"), withoutNumbers("13 of 25 promised 10.9.44.0/24; no answer from c")
	if first != second || strings.ContainsAny(first, "0123456789") || !strings.Contains(first, "no answer from c") {
		t.Errorf("%q and %q", first, second)
	}
	if withoutNumbers("no answer from c") == withoutNumbers("no answer from d") || withoutNumbers("123") != "" {
		t.Error("another node is no news, or a number alone is")
	}
}

// The advice for a file that cannot be written names the flag, and what to do.
func TestFilesThatCannotBeWrittenNameTheirFlag(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "subnet.env")
	if err := writeFile(path, []byte("A=1\n"), "--subnet-file"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "A=1\n" {
		t.Errorf("wrote %q, %v", b, err)
	}
	err := writeFile(filepath.Join(dir, "none", "subnet.env"), nil, "--subnet-file")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it writable, or name another file with --subnet-file") {
		t.Errorf("without a directory: %v", err)
	}
}

// Without a plane, or for another lease than its own, nothing is announced.
func TestNothingIsAnnouncedBeforeThePlane(t *testing.T) {
	var log strings.Builder
	d := idle(t, &log, nil)
	for _, lease := range []peers.LeaseState{peers.Claiming, peers.Confirmed, peers.Lost} {
		if err := d.announce(plantest.Snapshot(lease)); err != nil {
			t.Errorf("%s: %v", lease, err)
		}
	}
	if _, err := os.Lstat(d.cfg.SubnetPath()); !errors.Is(err, fs.ErrNotExist) || d.ready.Load() != 0 || strings.Contains(log.String(), "ready") {
		t.Errorf("announced: %v, ready %d\n%s", err, d.ready.Load(), log.String())
	}
}

// What stands in subnet.env may be of any program: only a lease counts.
func TestLeaseOnDiskIsOnlyWhatCanBeOne(t *testing.T) {
	d := &daemon{cfg: config.Config{RunDir: t.TempDir()}}
	for text, want := range map[string]string{
		"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n": "10.244.7.0/24",
		"":                                   "",
		"FLANNEL_SUBNET=nonsense\n":          "",
		"FLANNEL_SUBNET=fd00::1/64\n":        "",
		"\x00\xff":                           "",
		"FLANNEL_NETWORK=10.244.0.0/16\n":    "",
		strings.Repeat("A=B\n", 1<<16) + "x": "",
	} {
		if err := os.WriteFile(d.cfg.SubnetPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if lease := d.leaseOnDisk(); lease.IsValid() {
			got = lease.String()
		}
		if got != want {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
	if err := os.Remove(d.cfg.SubnetPath()); err != nil {
		t.Fatal(err)
	}
	if lease := d.leaseOnDisk(); lease.IsValid() {
		t.Errorf("without a file: %s", lease)
	}
}

func TestNodeIsNamedAsItsHostUnlessToldOtherwise(t *testing.T) {
	if got := nodeName("given"); got != "given" {
		t.Errorf("got %q", got)
	}
	if host, err := os.Hostname(); err == nil && host != "" && nodeName("") != host {
		t.Errorf("got %q, the host is %q", nodeName(""), host)
	}
}

// All processes of this host share loopback: there the port tells them apart.
func TestOwnEndpointOnLoopbackIsToldByItsPort(t *testing.T) {
	lo := netip.MustParseAddr("127.0.0.1")
	u := underlay.Underlay{Addr: lo, PublicAddr: lo}
	local, err := localAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"127.0.0.1:8285": true, "127.0.0.1:8300": false, "127.0.0.2:8285": false} {
		if got := isOwn(netip.MustParseAddrPort(text), local, u, 8285); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestBridgesAreTakenApartByUse(t *testing.T) {
	found := []bridge.Bridge{onBridge("a", true, "10.1.2.3/24", "10.1.3.1/24"), onBridge("b", false, "10.1.4.1/24"), onBridge("c", true)}
	for used, want := range map[bool]string{true: "10.1.2.0/24 10.1.3.0/24", false: "10.1.4.0/24"} {
		var got []string
		for _, p := range bridged(found, used) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("used %t: %q, want %s", used, got, want)
		}
	}
}

// The control socket is a part of the host: for a daemon that is gone it is a
// file to remove, for a running one it is made again.
func TestSocketIsAPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	server, err := control.Listen(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []socketPart{{path, server}, {path, nil}} {
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 || len(p.Present()) != 1 {
			t.Errorf("in place: wrong %q, %v, present %q", wrong, err, p.Present())
		}
	}
	part := socketPart{path, server}
	for range 2 { // without any, it does nothing
		if err := part.Remove(t.Context()); err != nil || len(part.Present()) > 0 {
			t.Errorf("removed: %v, present %q", err, part.Present())
		}
	}
	wrong, err := part.Check(t.Context())
	if err != nil || len(wrong) != 1 || !strings.Contains(wrong[0], path) {
		t.Errorf("check: %q, %v", wrong, err)
	}
	if changes, err := (socketPart{path, nil}).Ensure(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("without a server: %q, %v", changes, err)
	}
	for _, want := range []int{1, 0} {
		if changes, err := part.Ensure(t.Context()); err != nil || len(changes) != want {
			t.Errorf("ensured %q, %v, want %d", changes, err, want)
		}
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("no caller is let in: %v", err)
	} else {
		c.Close()
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
