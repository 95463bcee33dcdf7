// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host/docker"
)

var lease = netip.MustParsePrefix("10.244.7.0/24")

func part(t *testing.T, text string) *docker.Part {
	t.Helper()
	p, err := docker.ParsePart(text)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// onSubnet is a network with an address range, and nothing else of note.
func onSubnet(name, subnet string) Network {
	return Network{ID: strings.Repeat("a", 64), Name: name, Driver: driverBridge, Subnet: netip.MustParsePrefix(subnet)}
}

func TestAWishTakesWhatIsFree(t *testing.T) {
	ours := onSubnet("flannel", "10.244.9.192/26")
	ours.Labels = map[string]string{labelPart: "4/4"}
	ours.Options = map[string]string{docker.OptionBridge: "flan0"}
	for name, c := range map[string]struct {
		wish   Wish
		all    []Network
		want   string // subnet, gateway, bridge and part; or words of the error
		failed bool
	}{
		"docker0 has half":             {Wish{Name: "flannel"}, []Network{onSubnet("bridge", "10.244.7.0/25")}, "10.244.7.128/25 10.244.7.129 br-flannel 2/2", false},
		"docker0 has a quarter":        {Wish{Name: "web"}, []Network{onSubnet("bridge", "10.244.7.0/26")}, "10.244.7.128/25 10.244.7.129 br-web 2/2", false},
		"docker0 elsewhere":            {Wish{Name: "flannel"}, []Network{onSubnet("bridge", "172.17.0.0/16")}, "10.244.7.0/24 10.244.7.1 br-flannel 1/1", false},
		"a second network":             {Wish{Name: "db"}, []Network{onSubnet("bridge", "10.244.7.0/26"), onSubnet("web", "10.244.7.128/25")}, "10.244.7.64/26 10.244.7.65 br-db 2/4", false},
		"no IPv4":                      {Wish{Name: "db"}, []Network{{Name: "host", Driver: "host"}}, "10.244.7.0/24 10.244.7.1 br-db 1/1", false},
		"after the next dockerd start": {Wish{Name: "flannel", DockerBIP: netip.MustParsePrefix("10.244.7.1/25")}, []Network{onSubnet("bridge", "10.244.9.0/24")}, "10.244.7.128/25 10.244.7.129 br-flannel 2/2", false},
		"asked for":                    {Wish{Name: "web", Part: part(t, "3/4"), Bridge: "web0"}, []Network{onSubnet("bridge", "10.244.7.0/26")}, "10.244.7.128/26 10.244.7.129 web0 3/4", false},
		"keeps what it has":            {Wish{Name: "flannel"}, []Network{onSubnet("bridge", "10.244.7.0/25"), ours}, "10.244.7.192/26 10.244.7.193 flan0 4/4", false},
		"asked for something else":     {Wish{Name: "flannel", Part: part(t, "2/2"), Bridge: "br1"}, []Network{ours}, "10.244.7.128/25 10.244.7.129 br1 2/2", false},
		"docker0 has all":              {Wish{Name: "flannel"}, []Network{onSubnet("bridge", "10.244.7.0/24")}, "nothing is left; docker0 has it; --docker-part 1/2", true},
		"another network has all":      {Wish{Name: "flannel"}, []Network{onSubnet("mine", "10.244.7.0/24")}, "network mine has 10.244.7.0/24; docker network rm mine", true},
		"docker0 in the way":           {Wish{Name: "flannel", Part: part(t, "1/2")}, []Network{onSubnet("bridge", "10.244.7.0/25")}, "docker0 has 10.244.7.0/25; overlaps 10.244.7.0/25; --docker-part", true},
		"another in the way":           {Wish{Name: "flannel", Part: part(t, "2/2")}, []Network{onSubnet("mine", "10.244.7.192/26")}, "network mine has 10.244.7.192/26; choose another --part; docker network rm mine", true},
		"the next docker0 in the way":  {Wish{Name: "flannel", Part: part(t, "1/1"), DockerBIP: netip.MustParsePrefix("10.244.7.1/25")}, nil, "docker0 gets 10.244.7.1/25; --docker-part", true},
		"too small":                    {Wish{Name: "flannel", Part: part(t, "1/128")}, nil, "too small; --subnet-len", true},
		"a long name":                  {Wish{Name: "a-very-long-name"}, nil, "br-a-very-long-name; --bridge", true},
	} {
		c.wish.Lease, c.wish.MTU = lease, 1472
		got, err := c.wish.network(docker.APIUnprotected, c.all)
		if c.failed {
			for word := range strings.SplitSeq(c.want, "; ") {
				if err == nil || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: no %q in %v", name, word, err)
				}
			}
			continue
		}
		text := strings.Join([]string{got.Subnet.String(), got.Gateway.String(), got.Bridge(), got.Labels[labelPart]}, " ")
		if err != nil || text != c.want || !got.Ours() || !got.Attachable || got.Driver != driverBridge || got.Name != c.wish.Name {
			t.Errorf("%s: %s, %+v, %v", name, text, got, err)
		}
	}
}

func TestDifferencesAreNamed(t *testing.T) {
	w := Wish{Name: "flannel", Lease: lease, Part: part(t, "2/2"), MTU: 1472, Masquerade: true}
	want, err := w.network(docker.APIUnprotected, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(change func(*Network)) Network {
		n := want
		n.Options, n.Labels = map[string]string{"com.example": "x"}, map[string]string{"com.example": "x", labelPart: want.Labels[labelPart]}
		for k, v := range want.Options {
			n.Options[k] = v
		}
		change(&n)
		return n
	}
	for name, c := range map[string]struct {
		have Network
		want []string
	}{
		"none":          {copied(func(*Network) {}), nil},
		"driver":        {copied(func(n *Network) { n.Driver = "macvlan" }), []string{"driver is macvlan, not bridge"}},
		"subnet":        {copied(func(n *Network) { n.Subnet = netip.MustParsePrefix("10.244.9.128/25") }), []string{"subnet is 10.244.9.128/25, not 10.244.7.128/25"}},
		"gateway":       {copied(func(n *Network) { n.Gateway = netip.MustParseAddr("10.244.7.254") }), []string{"gateway is 10.244.7.254, not 10.244.7.129"}},
		"no gateway":    {copied(func(n *Network) { n.Gateway = netip.Addr{} }), nil},
		"not attached":  {copied(func(n *Network) { n.Attachable = false }), []string{"attachable is false, not true"}},
		"MTU":           {copied(func(n *Network) { n.Options[docker.OptionMTU] = "1500" }), []string{"driver.mtu is 1500, not 1472"}},
		"no MTU":        {copied(func(n *Network) { delete(n.Options, docker.OptionMTU) }), []string{"driver.mtu is not set, not 1472"}},
		"gateway mode":  {copied(func(n *Network) { delete(n.Options, docker.OptionGatewayMode) }), []string{"bridge.gateway_mode_ipv4 is not set, not nat-unprotected"}},
		"bridge, masq.": {copied(func(n *Network) { n.Options[docker.OptionBridge] = "x"; n.Options[docker.OptionMasquerade] = "false" }), []string{"bridge.enable_ip_masquerade is false, not true", "bridge.name is x, not br-flannel"}},
		"part":          {copied(func(n *Network) { delete(n.Labels, labelPart) }), []string{"part is not set, not 2/2"}},
	} {
		if got := differences(c.have, want); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	// An engine that was given an older version does not keep the newer mode.
	old, _ := w.network(docker.APIOldest, nil)
	if got := differences(want, old); !slices.Equal(got, []string{"bridge.gateway_mode_ipv4 is nat-unprotected, not not set"}) {
		t.Errorf("got %q", got)
	}
}

func TestALeaseIsDividedAmongNetworks(t *testing.T) {
	w := Wish{Name: "flannel", Lease: lease, Part: part(t, "2/2"), MTU: 1472, Masquerade: true}
	ours, err := w.network(docker.APIOldest, nil)
	if err != nil {
		t.Fatal(err)
	}
	stale := ours
	stale.Name, stale.Subnet = "stale", netip.MustParsePrefix("10.244.9.128/25")
	hand := onSubnet("hand", "10.244.7.64/26")
	hand.Options = map[string]string{docker.OptionMTU: "1500"}
	d := Divide(docker.APIOldest, []Network{ours, onSubnet("bridge", "10.244.7.0/27"), stale, hand, onSubnet("far", "172.18.0.0/16"), {Name: "none"}},
		netip.MustParsePrefix("10.244.0.0/16"), lease, 1472, true)
	var got []string
	for _, s := range d.Shares {
		got = append(got, strings.TrimSpace(s.Name+" "+s.Part+" "+strings.Join(s.Wrong, ", ")))
	}
	want := []string{"bridge 1/8", "hand 2/4 MTU is 1500, and the overlay device has 1472", "flannel 2/2", "stale  10.244.9.128/25 is not in the lease 10.244.7.0/24"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(d.Free, []netip.Prefix{netip.MustParsePrefix("10.244.7.32/27")}) {
		t.Errorf("free: %v", d.Free)
	}
	// A change of --ip-masq shows, too.
	d = Divide(docker.APIOldest, []Network{ours}, netip.MustParsePrefix("10.244.0.0/16"), lease, 1450, false)
	if wrong := d.Shares[0].Wrong; len(wrong) != 2 || !strings.Contains(wrong[0], "masquerade is true, not false") || !strings.Contains(wrong[1], "mtu is 1472, not 1450") {
		t.Errorf("got %q", wrong)
	}
}

func TestABridgeHasItsNameOrDockers(t *testing.T) {
	n := onSubnet("x", "10.244.7.0/24")
	if got := n.Bridge(); got != "br-aaaaaaaaaaaa" {
		t.Errorf("got %s", got)
	}
	n.Options = map[string]string{docker.OptionBridge: "web0", docker.OptionMTU: "1472"}
	if got := n.Bridge(); got != "web0" || n.MTU() != 1472 {
		t.Errorf("got %s, %d", got, n.MTU())
	}
	if got := (Network{Name: "host", Driver: "host", ID: strings.Repeat("b", 64)}).Bridge(); got != "" {
		t.Errorf("got %s", got)
	}
}
