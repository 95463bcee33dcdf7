// SPDX-License-Identifier: Apache-2.0

package kernelpath

import "testing"

// Settings that the kernel says zero of, or nothing, are not set. One that is
// set, or a flag that is there, is seen.
func TestSettingsOfDevicesAreSeen(t *testing.T) {
	zero, set := []byte{0, 0, 0, 0}, []byte{0, 0, 0, 1}
	for _, kind := range []string{kindVXLAN, kindIPIP} {
		if !isBare(kind, nil) {
			t.Errorf("%s without an answer has settings", kind)
		}
		for _, setting := range unsets[kind] {
			if !isBare(kind, map[uint16][]byte{setting: zero}) || isBare(kind, map[uint16][]byte{setting: set}) {
				t.Errorf("setting %d of %s is not seen", setting, kind)
			}
		}
		for _, flag := range flags[kind] {
			if isBare(kind, map[uint16][]byte{flag: {}}) {
				t.Errorf("flag %d of %s is not seen", flag, kind)
			}
		}
	}
}
