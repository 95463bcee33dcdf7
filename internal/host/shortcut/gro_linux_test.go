// SPDX-License-Identifier: Apache-2.0

package shortcut

import (
	"testing"

	"flanneld/internal/valid"
)

// Devices with names that begin alike have pairs of their own, with names that
// devices can have.
func TestPairsOfDevicesHaveNamesOfTheirOwn(t *testing.T) {
	if out, in := groNames("flannel0"); out != "flannel0gro0" || in != "flannel0gro1" {
		t.Errorf("the pair of flannel0 is %s and %s", out, in)
	}
	taken := map[string]string{}
	for _, device := range []string{
		"flannel0", "flannelblu", "flannelblue", "flannelblue0", "flannelblue1", "flannelbluegro0", "flannelbluegro1",
	} {
		out, in := groNames(device)
		for _, name := range []string{out, in} {
			if !valid.Device(name) {
				t.Errorf("%s: no device can be called %s", device, name)
			}
			if other, used := taken[name]; used {
				t.Errorf("%s and %s both have a device %s", other, device, name)
			}
			taken[name] = device
		}
	}
}
