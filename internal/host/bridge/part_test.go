// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host"
)

func TestPartNamesAStrayBridge(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	p := NewPart("/run/flannel/docker")
	for name, c := range map[string]struct {
		bridge Bridge
		words  []string // of text and advice; none: all is well
	}{
		"in the lease": {onBridge("docker0", true, "10.244.7.1/24"), nil},
		"elsewhere":    {onBridge("docker0", true, "172.17.0.1/16"), nil},
		"docker0":      {onBridge("docker0", true, "10.244.9.1/24"), []string{"docker0 has 10.244.9.1/24", "/run/flannel/docker"}},
		"another":      {onBridge("br-web", false, "10.244.9.1/24"), []string{"br-web has 10.244.9.1/24", "docker compose down", "flanneld docker network create web", "docker network rm web"}},
		"of podman":    {onBridge("cni0", false, "10.244.9.1/24"), []string{"cni0 has 10.244.9.1/24", "make it again"}},
	} {
		p.list = func() ([]Bridge, error) { return []Bridge{onBridge("br-fine", true, "10.244.7.129/25"), c.bridge}, nil }
		p.Want(netip.Prefix{}, netip.Prefix{})
		if _, err := p.Ensure(t.Context()); err != nil {
			t.Errorf("%s, without a lease: %v", name, err)
		}
		p.Want(network, lease)
		changes, err := p.Ensure(t.Context())
		all := host.Problems(err)
		wrong, checkErr := p.Check(t.Context())
		if changes != nil || checkErr != nil || len(all) != len(wrong) || (len(all) == 1) != (c.words != nil) {
			t.Fatalf("%s: changes %q, problems %+v, wrong %q, %v", name, changes, all, wrong, checkErr)
		}
		for _, word := range c.words {
			if text := all[0].Text + "; " + all[0].Advice; !strings.Contains(text, word) {
				t.Errorf("%s: no %q in %q", name, word, text)
			}
		}
		if len(all) == 1 && !strings.HasPrefix(wrong[0], all[0].Text+": ") {
			t.Errorf("%s: found %q, and reports %q", name, wrong[0], all[0].Text)
		}
	}
	p.list = func() ([]Bridge, error) { return nil, errors.New("no netlink") }
	if _, err := p.Check(t.Context()); err == nil {
		t.Error("bridges that cannot be read are no error of Check")
	}
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Errorf("bridges that cannot be read are a problem: %v", err)
	}
}
