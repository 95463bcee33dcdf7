// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestPartsDivideALease(t *testing.T) {
	for _, c := range []struct{ part, lease, want string }{
		{"1/1", "10.244.7.0/24", "10.244.7.0/24"},
		{"1/2", "10.244.7.0/24", "10.244.7.0/25"},
		{"2/2", "10.244.7.9/24", "10.244.7.128/25"},
		{"3/4", "10.244.7.0/24", "10.244.7.128/26"},
		{"8/8", "10.244.7.0/24", "10.244.7.224/27"},
		{"64/64", "10.244.7.0/24", "10.244.7.252/30"},
		{"2/2", "10.0.0.0/8", "10.128.0.0/9"},
		{"2/2", "10.244.7.0/29", "10.244.7.4/30"},
		{"1/2", "10.244.7.0/30", "too small"},
		{"1/128", "10.244.7.0/24", "too small"},
		{"none", "10.244.7.0/24", "no subnet"},
	} {
		part, err := ParsePart(c.part)
		if err != nil || part.String() != c.part {
			t.Fatalf("%s: %s, %v", c.part, part, err)
		}
		got, err := part.Of(netip.MustParsePrefix(c.lease))
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && got.String() != c.want {
			t.Errorf("%s of %s: %s, %v", c.part, c.lease, got, err)
		}
		if err != nil {
			continue
		}
		if back, ok := PartOf(netip.MustParsePrefix(c.lease), got); !ok || back != part {
			t.Errorf("%s of %s: back %s", c.part, c.lease, back)
		}
	}
	for _, text := range []string{"", "2", "0/2", "3/2", "1/3", "1/0", "-1/2", "1/-2", "a/b", "1/131072", "1/2/4", "none/2", " 1/2"} {
		if p, err := ParsePart(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %s, %v", text, p, err)
		}
	}
	for _, subnet := range []string{"10.244.8.0/25", "10.244.0.0/16"} {
		if p, ok := PartOf(netip.MustParsePrefix("10.244.7.0/24"), netip.MustParsePrefix(subnet)); ok {
			t.Errorf("%s is part %s", subnet, p)
		}
	}
}

func TestRestIsWhatIsNotInUse(t *testing.T) {
	for _, c := range []struct{ used, want string }{
		{"", "10.244.7.0/24"},
		{"10.244.8.0/24", "10.244.7.0/24"},
		{"10.244.7.1/25", "10.244.7.128/25"},
		{"10.244.7.1/27", "10.244.7.32/27 10.244.7.64/26 10.244.7.128/25"},
		{"10.244.7.1/26 10.244.7.193/26", "10.244.7.64/26 10.244.7.128/26"},
		{"10.244.7.1/24", ""},
		{"10.244.0.1/16", ""},
	} {
		var used []netip.Prefix
		if c.used != "" {
			used = prefixes(strings.Fields(c.used)...)
		}
		got := Rest(netip.MustParsePrefix("10.244.7.0/24"), used)
		if strings.Trim(fmt.Sprint(got), "[]") != c.want {
			t.Errorf("%q: %v, want %s", c.used, got, c.want)
		}
	}
}

func TestRestAndUsedAreTheLease(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	rapid.Check(t, func(t *rapid.T) {
		var used []netip.Prefix
		for range rapid.IntRange(0, 5).Draw(t, "used") {
			a := netip.AddrFrom4([4]byte{10, 244, 7, rapid.Byte().Draw(t, "address")})
			used = append(used, netip.PrefixFrom(a, rapid.IntRange(25, 32).Draw(t, "length")))
		}
		all := append(Rest(lease, used), used...)
		for a := lease.Addr(); lease.Contains(a); a = a.Next() {
			free, taken := 0, false
			for i, p := range all {
				if p.Contains(a) && i < len(all)-len(used) {
					free++
				} else if p.Contains(a) {
					taken = true
				}
			}
			if free > 1 || (free == 1) == taken {
				t.Fatalf("%s: in %d free prefixes, taken %t: %v", a, free, taken, all)
			}
		}
	})
}

func TestTheLargestPartIsTaken(t *testing.T) {
	for texts, want := range map[string]string{
		"10.244.7.32/27 10.244.7.64/26 10.244.7.128/25": "10.244.7.128/25",
		"10.244.7.64/26 10.244.7.128/26":                "10.244.7.128/26",
		"10.244.7.4/31 10.244.7.8/32":                   "",
	} {
		got, ok := Largest(prefixes(strings.Fields(texts)...))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %s", texts, got)
		}
	}
}

func TestOptionsGiveDocker0ItsPart(t *testing.T) {
	env := []byte("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n")
	for text, want := range map[string]string{
		"1/1":  " --bip=10.244.7.1/24 --ip-masq=true --mtu=1472",
		"1/2":  " --bip=10.244.7.1/25 --ip-masq=true --mtu=1472",
		"4/4":  " --bip=10.244.7.193/26 --ip-masq=true --mtu=1472",
		"none": " --mtu=1472",
	} {
		part, err := ParsePart(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Opts(env, Options{Combined: true, Part: part})
		if err != nil || string(got) != fmt.Sprintf("DOCKER_OPTS=\"%s\"\n", want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
		bip, ok := BIP(got)
		if ok != (text != "none") || ok && !strings.Contains(want, "--bip="+bip.String()+" ") {
			t.Errorf("%s: found --bip=%s", text, bip)
		}
	}
	small := []byte("FLANNEL_SUBNET=10.244.7.1/30\n")
	if got, err := Opts(small, Options{Part: Part{1, 2}}); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := Opts([]byte("FLANNEL_SUBNET=10.244.7.1\n"), Options{Part: Part{1, 2}}); err == nil || !strings.Contains(err.Error(), "no subnet") {
		t.Errorf("got %q, %v", got, err)
	}
}
