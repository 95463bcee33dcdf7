// SPDX-License-Identifier: Apache-2.0

package podman

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/envfile"
)

func TestFileIsTheLease(t *testing.T) {
	s := envfile.Subnet{Network: netip.MustParsePrefix("10.244.0.0/16"), Subnet: netip.MustParsePrefix("10.244.7.1/24"), MTU: 1472}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	got, err := File("flanneld", s, made)
	want := `{
  "name": "flanneld",
  "id": "4809f9b34a5db27290c838c821a97de4dbe55247fd04922f52f9807d00964ea5",
  "driver": "bridge",
  "network_interface": "br-flanneld",
  "created": "2026-01-02T02:04:05Z",
  "subnets": [
    {
      "subnet": "10.244.7.0/24",
      "gateway": "10.244.7.1"
    }
  ],
  "ipv6_enabled": false,
  "internal": false,
  "dns_enabled": true,
  "options": {
    "mtu": "1472"
  },
  "ipam_options": {
    "driver": "host-local"
  }
}
`
	if err != nil || string(got) != want {
		t.Errorf("%v, got\n%s", err, got)
	}
}

func TestNamesThatPodmanAndTheKernelTake(t *testing.T) {
	for name, fault := range map[string]string{
		"flanneld": "", "a": "", "My_net.1-x": "", "": "needs a name", "podman": "default_subnet", "-x": "only letters",
		"../x": "only letters", "a/b": "only letters", "néa": "only letters", strings.Repeat("x", 12): "", strings.Repeat("x", 13): "longer than 12",
	} {
		err := CheckName(name)
		if (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%q: got %v, want %q", name, err, fault)
		}
	}
}
