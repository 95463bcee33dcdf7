// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestASealedNetworkHasAKeyFileAndNoShortcut(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"sealed=true"}, "/var/lib/flanneld/cluster-key"},
		{[]string{"sealed=true", "state-dir=/s"}, "/s/cluster-key"},
		{[]string{"sealed=true", "key-file=/k"}, "/k"},
		{[]string{"sealed=false"}, ""},
		{nil, ""},
	} {
		got, err := load(t, c.args, nil)
		if err != nil || got.KeyFile != c.want || got.Sealed != (c.want != "") {
			t.Errorf("%v: key file %q, sealed %t, %v; want %q", c.args, got.KeyFile, got.Sealed, err, c.want)
		}
		if got.Given("key-file") != (c.want == "/k") {
			t.Errorf("%v: --key-file counts as given: %t", c.args, got.Given("key-file"))
		}
		if got.Shortcut != map[bool]string{true: ShortcutOff, false: ShortcutAuto}[got.Sealed] {
			t.Errorf("%v: the short-cut is %s", c.args, got.Shortcut)
		}
	}
}
