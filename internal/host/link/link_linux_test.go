// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host"
	"flanneld/internal/host/rtnl"
)

// A name that no host has: it is not valid for the kernel either.
const noDevice = "no-such-device0"

func TestFailedStepsHaveASubject(t *testing.T) {
	c := testConfig()
	add := step{do: addRoute, text: "route to 10.244.0.0/16 is missing"}
	for name, tc := range map[string]struct {
		err  error
		s    state
		step step
		is   error
		says string
	}{
		"device is gone":          {unix.ENODEV, state{}, add, ErrNoDevice, "flannel0 was deleted meanwhile"},
		"device is another":       {unix.ENXIO, state{}, step{do: setMTU}, ErrNoDevice, "flannel0"},
		"device cannot be found":  {netlink.LinkNotFoundError{}, state{}, step{do: setUp}, ErrNoDevice, "flannel0"},
		"routed to a device":      {unix.EEXIST, state{routedBy: "br0"}, add, ErrRouteTaken, "10.244.0.0/16 is routed to br0 already"},
		"routed since the look":   {unix.EEXIST, state{}, add, ErrRouteTaken, "to another device already"},
		"not permitted":           {unix.EPERM, state{}, add, nil, "CAP_NET_ADMIN"},
		"address is there":        {unix.EEXIST, state{}, step{do: setAlias, text: "alias is missing"}, unix.EEXIST, "flannel0: alias is missing"},
		"memory is short":         {unix.ENOBUFS, state{}, add, unix.ENOBUFS, add.text},
		"MTU that it cannot have": {fmt.Errorf("wrapped: %w", unix.EINVAL), state{}, step{do: setMTU, text: "MTU is 1500, not 9"}, unix.EINVAL, "MTU is 1500"},
	} {
		err := explain(tc.err, c, tc.s, tc.step)
		if tc.is != nil && !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "link: ") {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
		for _, sentinel := range []error{ErrNoDevice, ErrRouteTaken} {
			if errors.Is(err, sentinel) != errors.Is(tc.is, sentinel) {
				t.Errorf("%s: %v, is %v: %t", name, err, sentinel, errors.Is(err, sentinel))
			}
		}
	}
}

// What a route is read as is written as the same route.
func TestRoutesAreWrittenAsTheyAreRead(t *testing.T) {
	l := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 7}}
	for _, want := range []route{
		testConfig().wantRoute(),
		{dst: netip.MustParsePrefix("10.99.0.0/16"), protocol: 3, metric: 100},
		{dst: netip.MustParsePrefix("0.0.0.0/0"), scope: scopeLink},
		{dst: netip.MustParsePrefix("10.244.9.1/32"), src: netip.MustParseAddr("10.244.7.0")},
	} {
		written := toRoute(l, want)
		if got := fromRoute(*written); got != want || written.LinkIndex != 7 {
			t.Errorf("%+v became %+v", want, got)
		}
	}
	if got := fromRoute(netlink.Route{}); got.dst != netip.MustParsePrefix("0.0.0.0/0") || got.src.IsValid() {
		t.Errorf("a default route became %+v", got)
	}
	if got := fromRoute(netlink.Route{Dst: rtnl.IPNet(netip.MustParsePrefix("10.0.0.0/8")), Src: net.ParseIP("192.0.2.1")}); got.src != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("a source of 16 bytes became %+v", got)
	}
}

func TestKindOfADeviceIsNamed(t *testing.T) {
	for want, l := range map[string]netlink.Link{
		"tap": &netlink.Tuntap{Mode: netlink.TUNTAP_MODE_TAP}, "tuntap": &netlink.Tuntap{Mode: netlink.TUNTAP_MODE_TUN},
		"bridge": &netlink.Bridge{}, "openvpn": &netlink.GenericLink{LinkType: "openvpn"}, "network": &netlink.GenericLink{}, "device": &netlink.Device{},
	} {
		if got := kind(l); got != want {
			t.Errorf("%T is called %q, want %q", l, got, want)
		}
		if isTUN(l) != (want == "tuntap") {
			t.Errorf("%T %s: TUN %t", l, want, isTUN(l))
		}
	}
}

func TestStateIsReadFromALink(t *testing.T) {
	attrs := netlink.LinkAttrs{Name: noDevice, Alias: "flanneld x", MTU: 1472, TxQLen: 500, Flags: net.FlagUp}
	s := stateOf(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
	if !s.isTUN || s.alias != "flanneld x" || !s.up || s.mtu != 1472 || s.txQueue != 500 || s.ip6auto || s.owner() != Ours {
		t.Errorf("got %+v", s)
	}
	attrs.Flags = net.FlagBroadcast
	if stateOf(&netlink.Tuntap{LinkAttrs: attrs}).up {
		t.Error("a device that is down is up")
	}
}

// Where the device is missing, the forwarder makes it again.
func TestSettingsOfAMissingDevice(t *testing.T) {
	if on, err := Forwards(noDevice); on || !errors.Is(err, ErrNoDevice) {
		t.Errorf("forwards %t, %v", on, err)
	}
	for name, call := range map[string]func(string) ([]string, error){"EnsureForwarding": EnsureForwarding, "CheckForwarding": CheckForwarding} {
		if changes, err := call(noDevice); !errors.Is(err, ErrNoDevice) || len(changes) > 0 {
			t.Errorf("%s: %q, %v", name, changes, err)
		}
	}
	if err := set(noDevice, devconfForwarding, 1); !errors.Is(err, ErrNoDevice) {
		t.Errorf("set: %v", err)
	}
	if owner, err := Owned(noDevice); owner != Absent || err != nil {
		t.Errorf("owner %v, %v", owner, err)
	}
	if err := Remove(noDevice); err != nil {
		t.Errorf("remove: %v", err)
	}
	d := NewDevice(noDevice)
	if d.Name() != "device" || len(d.Present()) > 0 {
		t.Errorf("name %s, present %q", d.Name(), d.Present())
	}
	if err := d.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	c := testConfig()
	c.Name, c.Alias = noDevice, "flanneld of no node"
	d.Want(&c)
	if changes, err := d.Ensure(t.Context()); !errors.Is(err, host.ErrPending) || !errors.Is(err, ErrNoDevice) || len(changes) > 0 {
		t.Errorf("ensure: %q, %v", changes, err)
	}
	if _, err := d.Check(t.Context()); !errors.Is(err, ErrNoDevice) || errors.Is(err, host.ErrPending) {
		t.Errorf("check: %v", err)
	}
}

// A configuration that is not valid is no missing device: time mends nothing.
func TestInvalidConfigurationIsNotPending(t *testing.T) {
	d := NewDevice(noDevice)
	c := testConfig()
	c.MTU = 0
	d.Want(&c)
	if _, err := d.Ensure(t.Context()); err == nil || errors.Is(err, host.ErrPending) || !strings.Contains(err.Error(), noDevice) {
		t.Errorf("ensure: %v", err)
	}
	if _, err := d.Check(t.Context()); err == nil {
		t.Error("check accepts it")
	}
	d.Want(nil)
	for name, call := range map[string]func() ([]string, error){
		"ensure": func() ([]string, error) { return d.Ensure(t.Context()) }, "check": func() ([]string, error) { return d.Check(t.Context()) },
	} {
		if changes, err := call(); err != nil || len(changes) > 0 {
			t.Errorf("%s without a wish: %q, %v", name, changes, err)
		}
	}
}

// Without a lease there is nothing to forward: no switch is touched or read.
func TestWithoutALeaseNothingIsForwarded(t *testing.T) {
	before, err := os.ReadFile(forwardingPath)
	if err != nil {
		t.Fatal(err)
	}
	f := NewForwarding(noDevice)
	if changes, err := f.Ensure(t.Context()); err != nil || len(changes) > 0 || f.WasOff() {
		t.Errorf("ensure: %q, %v", changes, err)
	}
	if wrong, err := f.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("check: %q, %v", wrong, err)
	}
	if err := f.Remove(t.Context()); err != nil || f.Name() != "forwarding" {
		t.Errorf("remove: %v", err)
	}
	if after, err := os.ReadFile(forwardingPath); err != nil || string(after) != string(before) {
		t.Errorf("%q became %q, %v", before, after, err)
	}
}

// sysctl(8) reads a dot in a name as a directory.
func TestSettingsAreNamedAsTheCommandTakesThem(t *testing.T) {
	for device, want := range map[string]string{
		"flannel0": "net.ipv4.conf.flannel0.forwarding", "br.100": "net.ipv4.conf.br/100.forwarding", "a.b.c": "net.ipv4.conf.a/b/c.forwarding",
	} {
		if got := Sysctl(device, "forwarding"); got != want {
			t.Errorf("%s: %s, want %s", device, got, want)
		}
	}
	if got := wasForwarding("br.100", "0"); got != "net.ipv4.conf.br/100.forwarding was 0" {
		t.Error(got)
	}
	if got := wasStrict("br.100"); got != "net.ipv4.conf.br/100.rp_filter was strict" {
		t.Error(got)
	}
}
