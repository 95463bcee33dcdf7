// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"flanneld/peers"
)

func TestSettingsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	cases := []struct {
		flags, environ string // blank separated
		want           string // the whole line
	}{
		{"network=10.244.0.1/16", "", `--network 10.244.0.1/16: has bits set behind its length; did you mean 10.244.0.0/16?`},
		{"", "FLANNELD_NETWORK=fd00::/48", `FLANNELD_NETWORK=fd00::/48: not an IPv4 prefix; this version carries IPv4 only`},
		{"network=10.244.0.0/29", "", `--network 10.244.0.0/29: is too small; a network holds at least four subnets, so give a /28 or larger`},
		{"network=0.0.0.0/0", "", `--network 0.0.0.0/0: is too large; give a /8 or smaller`},
		{"network=127.0.0.0/8", "", `--network 127.0.0.0/8: is no block for hosts; give a private one like 10.244.0.0/16`},
		{"network=224.0.0.0/8", "", `--network 224.0.0.0/8: is no block for hosts; give a private one like 10.244.0.0/16`},
		{"subnet-len=17", "", `--subnet-len 17: does not fit the network 10.244.0.0/16, which must hold at least four subnets; give 18 to 30`},
		{"subnet-len=31", "", `--subnet-len 31: not a number from 1 to 30`},
		{"network=10.0.0.0/24 subnet-len=24", "", `--subnet-len 24: does not fit the network 10.0.0.0/24, which must hold at least four subnets; give 26 to 30`},
		{"subnet-min=10.245.0.0", "", `--subnet-min 10.245.0.0: is not in the network 10.244.0.0/16`},
		{"", "FLANNELD_SUBNET_MAX=10.244.7.9", `FLANNELD_SUBNET_MAX=10.244.7.9: is not the first address of a /24; did you mean 10.244.7.0?`},
		{"subnet-min=10.244.0.0", "", `--subnet-min 10.244.0.0: is the first subnet, which is not handed out; the lowest is 10.244.1.0`},
		{"subnet-min=10.244.9.0 subnet-max=10.244.8.0", "", `--subnet-max 10.244.8.0: lies below --subnet-min 10.244.9.0`},
		{"subnet=10.245.7.0/24", "", `--subnet 10.245.7.0/24: is not in the network 10.244.0.0/16`},
		{"subnet=10.244.7.0/25", "", `--subnet 10.244.7.0/25: is a /25 and the network's subnets are /24; give one of that length, or --subnet-len 25`},
		{"subnet=10.244.7.0/24 subnet-min=10.244.8.0", "", `--subnet 10.244.7.0/24: lies below --subnet-min 10.244.8.0`},
		{"subnet=10.244.7.0/24 subnet-max=10.244.6.0", "", `--subnet 10.244.7.0/24: lies above --subnet-max 10.244.6.0`},
		{"join=srv", "", `--join srv: has no colon; give HOST[:PORT], k8s:, srv:NAME or exec:COMMAND (a host of that name is srv.)`},
		{"join=exec", "", `--join exec: has no colon; give HOST[:PORT], k8s:, srv:NAME or exec:COMMAND (a host of that name is exec.)`},
		{"join=k8s", "", `--join k8s: has no colon; give HOST[:PORT], k8s:, srv:NAME or exec:COMMAND (a host of that name is k8s.)`},
		{"join=k8s:Blue", "", `--join k8s:Blue: its name is not one of a Lease; write it like k8s: or k8s:blue`},
		{"join=k8s:,k8s:blue", "", `--join k8s:blue: k8s: is given already; a node is in one network of one cluster`},
		{"join=k8s:", "NODE_NAME=a/b", `NODE_NAME=a/b: not the name of a Node; take it from the pod's spec.nodeName`},
		{"join=srv:", "", `--join srv:: has no name; write it like srv:example.org, which has records of _flanneld._tcp.example.org`},
		{"join=a,srv:10.0.0.1", "", `--join srv:10.0.0.1: its name is not one of DNS; write it like srv:example.org or srv:_overlay._tcp.example.org`},
		{"join=exec:", "", `--join exec:: has no command; write it like exec:/usr/local/bin/list-nodes`},
		{"join=consul:web", "", `--join consul:web: its port is not a number from 1 to 65535; give HOST[:PORT], k8s:, srv:NAME or exec:COMMAND`},
		{"join=host1:99999", "", `--join host1:99999: its port is not a number from 1 to 65535`},
		{"join=a subnet=10.9.7.0/31", "", `--subnet 10.9.7.0/31: is too small; give a /30 or larger`},
		{"port=8286", "", `--gossip-port 8286: is the data port (--port) as well; both are UDP, give them different ones`},
		{"backend=wireguard", "", `--backend wireguard: "wireguard" is neither auto nor one of udp, host-gw, vxlan, ipip`},
		{"backend=vxlan,direct", "", `--backend vxlan,direct: direct is called host-gw here, as flannel calls it`},
		{"", "FLANNELD_BACKEND=vxlan,auto", `FLANNELD_BACKEND=vxlan,auto: auto stands alone: it is host-gw,vxlan,udp`},
		{"sealed=true static-peer=10.244.9.0/24=192.0.2.9:8285", "", `--static-peer 10.244.9.0/24=192.0.2.9:8285: does not go with --sealed: a host that runs flannel cannot open sealed packets, and a sealed network sends no others; leave it out, or run this network without --sealed`},
		{"sealed=true shortcut=auto", "", `--shortcut auto: does not go with --sealed: the kernel would send packets in the clear; leave it out`},
		{"sealed=true backend=auto", "", `--backend auto: does not go with --sealed: the kernel would send packets in the clear; leave --backend out`},
		{"backend=vxlan,,udp", "", `--backend vxlan,,udp: has an empty name; write it like vxlan or host-gw,vxlan,udp`},
		{"backend=", "", `--backend "": has an empty name; write it like vxlan or host-gw,vxlan,udp`},
		{"backend=vxlan,udp,vxlan", "", `--backend vxlan,udp,vxlan: has vxlan twice`},
		{"vxlan-vni=0", "", `--vxlan-vni 0: not a number from 1 to 16777215`},
		{"vxlan-vni=16777216", "", `--vxlan-vni 16777216: not a number from 1 to 16777215`},
		{"vxlan-port=65536", "", `--vxlan-port 65536: not a port: not a number from 1 to 65535`},
		{"backend=auto vxlan-port=8285", "", `--vxlan-port 8285: is the data port (--port) as well; both are UDP, give them different ones`},
		{"backend=vxlan gossip-port=8472", "", `--vxlan-port 8472: is the gossip port (--gossip-port) as well; both are UDP, give them different ones`},
		{"backend=vxlan vxlan-vni=7 device=flannel.7", "", `--device flannel.7: is the name of a device of --backend vxlan; give the overlay device another one`},
		{"backend=ipip,udp", "FLANNELD_DEVICE=flannel.ipip", `FLANNELD_DEVICE=flannel.ipip: is the name of a device of --backend ipip,udp; give the overlay device another one`},
		{"port=0", "", `--port 0: not a port: not a number from 1 to 65535`},
		{"join=", "", `--join "": empty; give a node as HOST or HOST:PORT`},
		{"join=host1:x", "", `--join host1:x: its port is not a number from 1 to 65535; give HOST[:PORT], k8s:, srv:NAME or exec:COMMAND`},
		{"join=1.2.3", "", `--join 1.2.3: neither an IPv4 address nor a host name`},
		{"join=0.0.0.0", "", `--join 0.0.0.0: no host has such an address`},
		{"join=[fd00::1]:8286", "", `--join [fd00::1]:8286: not an IPv4 address; this version's underlay is IPv4 only`},
		{"join=fd00::1", "", `--join fd00::1: not an IPv4 address; this version's underlay is IPv4 only`},
		{"join=fe80::1%eth0", "", `--join fe80::1%eth0: not an IPv4 address; this version's underlay is IPv4 only`},
		{"join=[fd00::1]", "", `--join [fd00::1]: not an IPv4 address; this version's underlay is IPv4 only`},
		{"join=::ffff:192.0.2.1", "", `--join ::ffff:192.0.2.1: not an IPv4 address; this version's underlay is IPv4 only`},
		{"join=http://host1:8286/", "", `--join http://host1:8286/: a URL; give HOST or HOST:PORT alone; did you mean host1:8286?`},
		{"join=udp://192.0.2.1", "", `--join udp://192.0.2.1: a URL; give HOST or HOST:PORT alone; did you mean 192.0.2.1?`},
		{"join=https://[fd00::1]/x", "", `--join https://[fd00::1]/x: a URL; give HOST or HOST:PORT alone`},
		{"join=root@host1", "", `--join root@host1: has a user name; give HOST or HOST:PORT alone; did you mean host1?`},
		{"join=192.0.2.1/24", "", `--join 192.0.2.1/24: has a / in it; give HOST or HOST:PORT, with neither a path nor a prefix length; did you mean 192.0.2.1?`},
		{"join=host1:8286/gossip", "", `--join host1:8286/gossip: has a / in it; give HOST or HOST:PORT, with neither a path nor a prefix length; did you mean host1:8286?`},
		{"join=host1;host2", "", `--join host1;host2: has a blank or semicolon in it; separate nodes by commas, or give --join for each`},
		{"join=a:b:c", "", `--join a:b:c: not HOST or HOST:PORT`},
		{"public-ip=239.1.1.1", "", `--public-ip 239.1.1.1: no host has such an address; give the one the other nodes reach this host at`},
		{"iface=2001:db8::1", "", `--iface 2001:db8::1: not an IPv4 address; this version's underlay is IPv4 only`},
		{"iface-regex=", "", "--iface-regex \"\": an empty expression matches every interface: give one that matches the underlay's"},
		{"iface-regex=(", "", "--iface-regex (: not a regular expression: missing closing ): `(`"},
		{"device=flannel0123456789", "", `--device flannel0123456789: not a device name; use up to 15 letters, digits, dots, dashes and underscores`},
		{"device=flannel+", "", `--device flannel+: not a device name; use up to 15 letters, digits, dots, dashes and underscores`},
		{"device=-x", "", `--device -x: not a device name; use up to 15 letters, digits, dots, dashes and underscores`},
		{"docker-key=1A", "", `--docker-key 1A: not a variable's name; use letters, digits and underscores, and no digit first`},
		{"", "FLANNELD_DOCKER_KEY=A-B", `FLANNELD_DOCKER_KEY=A-B: not a variable's name; use letters, digits and underscores, and no digit first`},
		{"docker-key=", "", `--docker-key "": empty; write it like DOCKER_OPTS`},
		{"docker-file=/f subnet-file=/f", "", `--docker-file /f: is the file of --subnet-file as well; give them different ones`},
		{"docker-file=/run/flannel/subnet.env", "", `--docker-file /run/flannel/subnet.env: is the file of --subnet-file as well; give them different ones`},
		{"mtu=68", "", `--mtu 68: not a number from 576 to 65507`},
		{"lease-ttl=1d", "", `--lease-ttl 1d: not a duration; write it like 24h or 30m`},
		{"lease-ttl=1ms", "", `--lease-ttl 1ms: shorter than 1s; a restart would cost a node its subnet`},
		{"ip-masq=ja", "", `--ip-masq ja: neither true nor false`},
		{"lanes=none", "", `--lanes none: neither auto nor a number from 1 to 64`},
		{"offload=gso", "", `--offload gso: neither auto nor off nor a list of tun-csum, tun-tso, tun-uso, udp-gso, udp-gro`},
		{"on-conflict=fight", "", `--on-conflict fight: neither release nor wait`},
		{"log-level=loud", "", `--log-level loud: not one of debug, info, warn, error`},
		{"static-peer=10.245.9.0/24=192.0.2.9:8285", "", `--static-peer 10.245.9.0/24=192.0.2.9:8285: subnet is no part of the network 10.244.0.0/16`},
		{"static-peer=10.244.0.0/16=192.0.2.9:8285", "", `--static-peer 10.244.0.0/16=192.0.2.9:8285: subnet is no part of the network 10.244.0.0/16`},
		{"static-peer=10.244.9.0/24", "", `--static-peer 10.244.9.0/24: not SUBNET=ADDR:PORT; write it like 10.244.9.0/24=192.168.1.9:8285`},
		{"static-peer=10.244.9.0/24=192.0.2.9", "", `--static-peer 10.244.9.0/24=192.0.2.9: endpoint 192.0.2.9: not ADDR:PORT; write it like 192.168.1.9:8285, or one of SUBNET=ADDR:PORT, SUBNET=host-gw:ADDR, SUBNET=ipip:ADDR or SUBNET=vxlan:ADDR[:PORT]/MAC`},
		{"static-peer=10.244.9.0/24=udp:192.0.2.9:8285", "", `--static-peer 10.244.9.0/24=udp:192.0.2.9:8285: endpoint udp:192.0.2.9:8285: udp has no name there; write it like 192.168.1.9:8285`},
		{"backend=ipip static-peer=10.244.9.0/24=ipip:host9", "", `--static-peer 10.244.9.0/24=ipip:host9: endpoint ipip:host9: not an address; write it like ipip:192.168.1.9`},
		{"backend=host-gw static-peer=10.244.9.0/24=host-gw:192.0.2.9:1", "", `--static-peer 10.244.9.0/24=host-gw:192.0.2.9:1: endpoint host-gw:192.0.2.9:1: not an address; write it like host-gw:192.168.1.9`},
		{"backend=host-gw static-peer=10.244.9.0/24=host-gw:224.0.0.1", "", `--static-peer 10.244.9.0/24=host-gw:224.0.0.1: endpoint 224.0.0.1: no host has such an address`},
		{"backend=vxlan static-peer=10.244.9.0/24=vxlan:192.0.2.9", "", `--static-peer 10.244.9.0/24=vxlan:192.0.2.9: endpoint vxlan:192.0.2.9: not a MAC of six bytes behind the /; write it like vxlan:192.168.1.9/0e:5d:7b:a1:02:33 (cat /sys/class/net/flannel.1/address on that host)`},
		{"backend=vxlan static-peer=10.244.9.0/24=vxlan:192.0.2.9/00:00:00:00:00:00", "", `--static-peer 10.244.9.0/24=vxlan:192.0.2.9/00:00:00:00:00:00: endpoint vxlan:192.0.2.9/00:00:00:00:00:00: no device has such a MAC; write it like vxlan:192.168.1.9/0e:5d:7b:a1:02:33 (cat /sys/class/net/flannel.1/address on that host)`},
		{"backend=vxlan static-peer=10.244.9.0/24=vxlan:192.0.2.9:0/02:00:00:00:00:09", "", `--static-peer 10.244.9.0/24=vxlan:192.0.2.9:0/02:00:00:00:00:09: endpoint vxlan:192.0.2.9:0/02:00:00:00:00:09: not ADDR[:PORT]/MAC; write it like vxlan:192.168.1.9/0e:5d:7b:a1:02:33 (cat /sys/class/net/flannel.1/address on that host)`},
		{"static-peer=10.244.9.0/24=vxlan:192.0.2.9/02:00:00:00:00:09", "", `--static-peer 10.244.9.0/24=vxlan:192.0.2.9:8472/02:00:00:00:00:09: is reached by a path that --backend udp does not have; give --backend udp,vxlan`},
		{"backend=auto static-peer=10.244.9.0/24=ipip:192.0.2.9", "", `--static-peer 10.244.9.0/24=ipip:192.0.2.9: is reached by a path that --backend host-gw,vxlan,udp does not have; give --backend host-gw,vxlan,udp,ipip`},
		{"backend=vxlan static-peer=10.244.9.0/24=vxlan:192.0.2.9/02:00:00:00:00:09 static-peer=10.244.8.0/24=vxlan:192.0.2.8/02-00-00-00-00-09", "",
			`--static-peer 10.244.8.0/24=vxlan:192.0.2.8:8472/02:00:00:00:00:09: has the MAC of static peer 10.244.9.0/24=vxlan:192.0.2.9:8472/02:00:00:00:00:09; every device has its own`},
		{"backend=host-gw static-peer=10.244.9.0/24=host-gw:10.244.1.9", "", `--static-peer 10.244.9.0/24=host-gw:10.244.1.9: endpoint lies inside the network 10.244.0.0/16; give the host's underlay address`},
		{"subnet=10.244.9.0/24 static-peer=10.244.9.0/25=192.0.2.9:8285", "", `--static-peer 10.244.9.0/25=192.0.2.9:8285: is the subnet this node is to hold (--subnet 10.244.9.0/24); every subnet has one host`},
		{"", "FLANNELD_STATIC_PEER=10.244.9.0/24=10.244.1.9:8285", `FLANNELD_STATIC_PEER=10.244.9.0/24=10.244.1.9:8285: endpoint lies inside the network 10.244.0.0/16; give the host's underlay address`},
		{"static-peer=10.244.9.0/24=192.0.2.9:8285 static-peer=10.244.9.128/25=192.0.2.8:8285", "", `--static-peer 10.244.9.128/25=192.0.2.8:8285: overlaps static peer 10.244.9.0/24=192.0.2.9:8285; every subnet has one host`},
	}
	for _, c := range cases {
		_, err := load(t, strings.Fields(c.flags), strings.Fields(c.environ))
		var fault *Error
		if !errors.As(err, &fault) || err.Error() != c.want {
			t.Errorf("%s %s:\ngot  %v\nwant %s", c.flags, c.environ, err, c.want)
		}
	}
}

func TestSettingsThatFitAreTaken(t *testing.T) {
	for _, flags := range []string{
		"network=10.0.0.0/28",
		"network=172.16.0.0/12 subnet-len=30",
		"network=100.64.0.0/10",
		"network=10.0.0.0/24 subnet=10.0.0.64/26",
		"subnet=10.244.7.0/24 subnet-min=10.244.7.0 subnet-max=10.244.7.0",
		"subnet=10.244.7.0/25 subnet-len=25",
		"join=host1 subnet=10.9.7.0/25", // the network is not known yet
		"join=host1 subnet-min=10.9.7.0",
		"join=host_1.example.org.",
		"static-peer=10.244.9.128/25=192.0.2.8:8285 static-peer=10.244.9.0/25=192.0.2.9:1",
		"static-peer=10.244.9.0/24=127.0.0.1:8285", // the underlay may be loopback
		"mtu=65507 lanes=64",
		"sealed=true backend=udp lanes=64",
		"backend=host-gw port=8472", // a path that is not used disturbs nothing
		"device=flannel.1",
		"backend=vxlan,udp static-peer=10.244.9.0/24=vxlan:192.0.2.9/0e:5d:7b:a1:02:33 static-peer=10.244.8.0/24=192.0.2.8:8285",
		"backend=udp,host-gw,ipip static-peer=10.244.9.0/24=host-gw:192.0.2.9 static-peer=10.244.8.0/24=ipip:192.0.2.8",
	} {
		if _, err := load(t, strings.Fields(flags), nil); err != nil {
			t.Errorf("%s: %v", flags, err)
		}
	}
}

// The port of a static peer's VXLAN is this node's where its entry has none.
func TestStaticPeersByVXLANHaveThePortOfTheSetting(t *testing.T) {
	c, err := load(t, []string{"backend=vxlan", "vxlan-port=4789", "static-peer=10.244.9.0/24=vxlan:192.0.2.9/02:00:00:00:00:09,10.244.8.0/24=vxlan:192.0.2.8:8472/02:00:00:00:00:08"}, nil)
	if err != nil || c.StaticPeers[0].Endpoint.Port() != 4789 || c.StaticPeers[1].Endpoint.Port() != 8472 {
		t.Errorf("%v, %v", c.StaticPeers, err)
	}
}

func TestStaticPeersAreHeldAgainstLeaseAndUnderlay(t *testing.T) {
	c, err := load(t, []string{"static-peer=10.244.9.0/24=127.0.0.1:8285"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	network, lease := netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.244.9.0/24")
	if err := c.CheckStaticPeers(network, netip.Prefix{}, true); err != nil {
		t.Errorf("loopback underlay: %v", err)
	}
	if err := c.CheckStaticPeers(network, netip.Prefix{}, false); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("other underlay: got %v", err)
	}
	if err := c.CheckStaticPeers(network, lease, true); err == nil || !strings.Contains(err.Error(), "own lease 10.244.9.0/24") {
		t.Errorf("own lease: got %v", err)
	}
}

func TestStaticPeerThatIsThisHostIsTakenOut(t *testing.T) {
	list := "static-peer=10.244.7.0/24=192.0.2.7:8285 static-peer=10.244.9.0/24=192.0.2.9:8285"
	here := func(e netip.AddrPort) bool { return e.Addr() == netip.MustParseAddr("192.0.2.9") }
	nowhere := func(netip.AddrPort) bool { return false }
	for _, c := range []struct {
		flags string
		own   func(netip.AddrPort) bool
		self  string // its entry; "": none
		fault string
	}{
		{list, here, "10.244.9.0/24=192.0.2.9:8285", ""},
		{list, nowhere, "", ""},
		{list + " subnet=10.244.9.0/24", here, "10.244.9.0/24=192.0.2.9:8285", ""},
		{list + " subnet=10.244.9.0/24", nowhere, "", "is the subnet this node is to hold"},
		{list + " subnet=10.244.7.0/24", here, "", "is the subnet this node is to hold"},
	} {
		before, err := load(t, strings.Fields(c.flags), nil)
		if err != nil {
			t.Fatal(err)
		}
		after, self, err := before.WithoutSelf(c.own)
		if c.fault != "" {
			var fault *Error
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: got %v", c.flags, err)
			}
			continue
		}
		if err != nil || len(self)+len(after.StaticPeers) != 2 || len(before.StaticPeers) != 2 {
			t.Errorf("%s: %v, %v left, %v itself", c.flags, err, after.StaticPeers, self)
		}
		if (len(self) == 1) != (c.self != "") || len(self) == 1 && self[0].String() != c.self {
			t.Errorf("%s: itself is %v, want %q", c.flags, self, c.self)
		}
	}
}

// flannel's rule: 24, or two bits more than a network smaller than /22.
func TestSubnetLenFollowsFlannel(t *testing.T) {
	for network, want := range map[string]int{"10.0.0.0/8": 24, "10.0.0.0/22": 24, "10.0.0.0/23": 25, "10.0.0.0/28": 30} {
		if got := peers.SubnetLenFor(netip.MustParsePrefix(network)); got != want {
			t.Errorf("%s: got %d, want %d", network, got, want)
		}
	}
}

// A command has commas of its own. So it is the last value of a list.
func TestTheCommandOfASourceIsTakenWhole(t *testing.T) {
	for text, want := range map[string]string{
		"a,exec:list --filter x,y | sort": "[a] [exec:list --filter x,y | sort]",
		"exec: list a,b":                  "[] [exec:list a,b]",
		"srv:a.example, srv:a.example,b":  "[b] [srv:a.example]",
		"k8s:,k8s:,exec:x":                "[] [k8s: exec:x]",
		"k8s:blue":                        "[] [k8s:blue]",
		"a, b:1":                          "[a b:1] []",
	} {
		c, err := Load(map[string][]string{"join": {text}}, func(string) (string, bool) { return "", false })
		if got := fmt.Sprint(c.Join, " ", c.Sources); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
		if c.Founds() {
			t.Errorf("%s: founds", text)
		}
	}
	for _, command := range []string{"exec:a\nb", "exec:" + strings.Repeat("x", 5000)} {
		if _, err := Load(map[string][]string{"join": {command}}, func(string) (string, bool) { return "", false }); err == nil || !strings.Contains(err.Error(), "put it into a script") {
			t.Errorf("%.20q: %v", command, err)
		}
	}
}

func TestTheNodesNameIsTheClusters(t *testing.T) {
	long := strings.Repeat("x", 60) + ".example.org"
	for _, c := range []struct{ flags, variable, name, clusterNode string }{
		{"join=k8s:", "worker-1", "worker-1", "worker-1"}, {"join=k8s: node-name=x", "worker-1", "x", "worker-1"},
		{"join=k8s:", long, long[:64], long}, {"join=k8s: node-name=x", "", "x", ""}, {"join=a", "worker-1", "", ""}, {"", "worker-1", "", ""},
	} {
		got, err := load(t, strings.Fields(c.flags), []string{"NODE_NAME=" + c.variable})
		if err != nil || got.NodeName != c.name || got.ClusterNode != c.clusterNode {
			t.Errorf("%s: %q, %q, %v; want %q, %q", c.flags, got.NodeName, got.ClusterNode, err, c.name, c.clusterNode)
		}
	}
}
