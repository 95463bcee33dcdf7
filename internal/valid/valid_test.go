// SPDX-License-Identifier: Apache-2.0

package valid

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNamesOfDevices(t *testing.T) {
	for name, want := range map[string]bool{
		"flannel0": true, "eth0.5": true, "a-b_c": true, strings.Repeat("x", MaxDevice): true,
		"": false, strings.Repeat("x", MaxDevice+1): false, ".x": false, "-x": false, "a/b": false, "a+": false, "!a": false, "tun%d": false, "ä": false, "a b": false,
	} {
		if got := Device(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestNamesOfVariables(t *testing.T) {
	for name, want := range map[string]bool{
		"DOCKER_OPTS": true, "_x9": true, "x": true, "": false, "9x": false, "a-b": false, "a b": false, "Ö": false, "x=y": false,
	} {
		if got := Variable(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestAddressesOfHosts(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1": true, "127.0.0.1": true, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "255.255.255.254": true,
	} {
		if got := Host(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if Host(netip.Addr{}) {
		t.Error("the zero address is a host's")
	}
}
