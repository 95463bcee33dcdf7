// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package link

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host"
	"flanneld/internal/host/link/linktest"
)

func TestDeviceIsAPart(t *testing.T) {
	d := NewDevice("flannel0")
	expect := func(when string, p host.Part, changed int) {
		t.Helper()
		wrong, err := p.Check(t.Context())
		if err != nil || len(wrong) != changed {
			t.Errorf("%s: wrong %q, %v", when, wrong, err)
		}
		changes, err := p.Ensure(t.Context())
		if err != nil || !slices.Equal(changes, wrong) {
			t.Errorf("%s: changed %q, %v, not %q", when, changes, err, wrong)
		}
	}
	c := testConfig()
	d.Want(&c)
	if _, err := d.Check(t.Context()); !errors.Is(err, ErrNoDevice) {
		t.Errorf("Check without a device: %v", err)
	}
	if _, err := d.Ensure(t.Context()); !errors.Is(err, host.ErrPending) || len(host.Problems(err)) > 0 {
		t.Errorf("Ensure without a device: %v", err)
	}
	if len(d.Present()) > 0 {
		t.Error("present without a device")
	}
	overlay(t)
	ensure(t, c)
	expect("right", d, 0)
	linktest.Run(t, "ip link set flannel0 mtu 1300")
	expect("another MTU", d, 1)
	d.Want(nil)
	linktest.Run(t, "ip link set flannel0 mtu 1300")
	expect("nothing wanted", d, 0)
	if got := d.Present(); len(got) != 1 || !strings.Contains(got[0], "flannel0") {
		t.Errorf("present: %q", got)
	}
	for range 2 {
		if err := d.Remove(t.Context()); err != nil || len(d.Present()) > 0 {
			t.Errorf("remove: %v", err)
		}
	}
}

func TestForwardingIsAPart(t *testing.T) {
	overlay(t)
	linktest.Script(t, `
		ip link set flannel0 up
		ip link add docker0 type bridge
		ip addr add 10.244.7.1/24 dev docker0
		sysctl -qw net.ipv4.ip_forward=0`)
	t.Cleanup(func() { linktest.Try("ip link delete docker0") })
	f := NewForwarding("flannel0")
	if changes, err := f.Ensure(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("nothing wanted: %q, %v", changes, err)
	}
	f.Want(netip.MustParsePrefix("10.244.7.0/24"))
	if wrong, err := f.Check(t.Context()); err != nil || len(wrong) != 3 { // host, device, bridge
		t.Errorf("all off: %q, %v", wrong, err)
	}
	if changes, err := f.Ensure(t.Context()); err != nil || len(changes) == 0 || !f.WasOff() {
		t.Errorf("changed %q, %v", changes, err)
	}
	linktest.Run(t, "sysctl -qw net.ipv4.conf.docker0.forwarding=0")
	linktest.Run(t, "sysctl -qw net.ipv4.conf.flannel0.forwarding=0")
	changes, err := f.Ensure(t.Context())
	if all := host.Problems(err); len(changes) != 1 || len(all) != 1 || !strings.Contains(all[0].Advice, "docker0.forwarding=1") {
		t.Errorf("changed %q, problems %+v", changes, all)
	}
	linktest.Run(t, "sysctl -qw net.ipv4.conf.docker0.forwarding=1")
	if wrong, err := f.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("in the end: %q, %v", wrong, err)
	}
	if err := f.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	if got := linktest.Run(t, "sysctl -n net.ipv4.ip_forward"); got != "1\n" {
		t.Error("net.ipv4.ip_forward was reset")
	}
}

// The advice for a bridge with a dot in its name is a command that works.
func TestAdviceForABridgeWithADotWorks(t *testing.T) {
	overlay(t)
	linktest.Script(t, `
		ip link set flannel0 up
		ip link add br.100 type bridge
		ip addr add 10.244.7.1/24 dev br.100
		sysctl -qw net.ipv4.ip_forward=1
		sysctl -qw net.ipv4.conf.br/100.forwarding=0`)
	t.Cleanup(func() { linktest.Try("ip link delete br.100") })
	f := NewForwarding("flannel0")
	f.Want(netip.MustParsePrefix("10.244.7.0/24"))
	_, err := f.Ensure(t.Context())
	problems := host.Problems(err)
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "containers on br.100 ") {
		t.Fatalf("problems %+v", problems)
	}
	linktest.Run(t, problems[0].Advice)
	if changes, err := f.Ensure(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("after %s: %q, %v", problems[0].Advice, changes, err)
	}
}

// A lease that is gone needs no switches any more.
func TestForwardingOfAnOlderLeaseIsForgotten(t *testing.T) {
	overlay(t)
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip addr add 10.244.7.1/24 dev docker0
		sysctl -qw net.ipv4.ip_forward=1
		sysctl -qw net.ipv4.conf.docker0.forwarding=0`)
	t.Cleanup(func() { linktest.Try("ip link delete docker0") })
	f := NewForwarding("flannel0")
	for lease, want := range map[string]int{"10.244.7.0/24": 1, "10.244.9.0/24": 0} {
		f.Want(netip.MustParsePrefix(lease))
		_, err := f.Ensure(t.Context())
		if problems := host.Problems(err); len(problems) != want {
			t.Errorf("%s: problems %+v", lease, problems)
		}
	}
	linktest.Run(t, "ip link delete flannel0")
	f.Want(netip.MustParsePrefix("10.244.9.0/24"))
	if changes, err := f.Ensure(t.Context()); err != nil || len(changes) > 0 {
		t.Errorf("without a device: %q, %v", changes, err)
	}
	if _, err := f.Check(t.Context()); !errors.Is(err, ErrNoDevice) {
		t.Errorf("Check without a device: %v", err)
	}
}
