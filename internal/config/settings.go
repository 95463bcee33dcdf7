// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strconv"
	"strings"
)

// Setting is one flag of `flanneld run` and its twin in the environment.
type Setting struct {
	Name    string // without the dashes
	Value   string // what stands for the value in the help; "" for a switch
	Default string // as it would be typed; "" where the help text says what holds
	Help    string
	List    bool // may be given several times

	split bool   // a list; commas may separate its values, too
	whole string // a value that begins like this is the last one; its commas are its own
	set   func(*Config, string) error
}

// Switch reports whether the setting is true or false and needs no value as a
// flag.
func (s Setting) Switch() bool { return s.Value == "" }

// Variable is the environment variable that sets it: FLANNELD_SUBNET_LEN for
// --subnet-len, as flannel names them.
func (s Setting) Variable() string {
	return "FLANNELD_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings returns all settings in the order in which the help shows them.
func Settings() []Setting { return append([]Setting(nil), settings...) }

// Lookup finds a setting by its name.
func Lookup(name string) (Setting, bool) {
	for _, s := range settings {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}

// settings is the table of the design, one line a flag.
var settings = []Setting{
	{Name: "network", Value: "PREFIX", set: setNetwork,
		Help: "overlay network (default " + DefaultNetwork.String() + " on a founding node; a joining node learns it)"},
	{Name: "subnet-len", Value: "BITS", set: setSubnetLen,
		Help: "prefix length of each host's subnet (default 24, or 2 more than a network smaller than /22)"},
	{Name: "subnet-min", Value: "IP", set: setAddr(func(c *Config) *addr { return &c.SubnetMin }),
		Help: "first subnet handed out (default the second of the network)"},
	{Name: "subnet-max", Value: "IP", set: setAddr(func(c *Config) *addr { return &c.SubnetMax }),
		Help: "last subnet handed out (default the last of the network)"},
	{Name: "subnet", Value: "PREFIX", set: setSubnet,
		Help: "hold exactly this subnet, the first of the network included, or fail and name the holder"},
	{Name: "join", Value: "HOST[:PORT]", List: true, split: true, whole: SourceExec + ":", set: setJoin,
		Help: "any node of the network to join, repeatable or comma separated; a node given one never founds a network. " +
			"k8s: finds the nodes of the Kubernetes cluster, and lets one found; srv:NAME finds nodes in DNS, exec:COMMAND by what a command prints"},

	{Name: "iface", Value: "NAME|IP", List: true, split: true, set: setIface,
		Help: "interface or address of the underlay, the first that exists (default the default route's)"},
	{Name: "iface-regex", Value: "REGEX", List: true, set: setIfaceRegex,
		Help: "use the first interface with a matching name or address, after --iface"},
	{Name: "iface-can-reach", Value: "IP", set: setAddr(func(c *Config) *addr { return &c.IfaceCanReach }),
		Help: "use the interface by which the kernel reaches this address"},
	{Name: "public-ip", Value: "IP", set: setPublicIP,
		Help: "address announced to the other nodes (default the interface's)"},

	{Name: "backend", Value: "auto|NAME|LIST", Default: string(PathUDP), set: setBackend,
		Help: "how packets travel to other hosts: udp, host-gw, vxlan, ipip, or several, the best first; auto is host-gw,vxlan,udp"},
	{Name: "shortcut", Value: "auto|off", Default: DefaultShortcut, set: setChoice(func(c *Config) *string { return &c.Shortcut }, ShortcutAuto, ShortcutOff),
		Help: "whether the kernel carries the udp format itself, to peers that take it so and answer there"},
	{Name: "vxlan-port", Value: "PORT", Default: strconv.Itoa(DefaultVXLANPort), set: setPort(func(c *Config) *uint16 { return &c.VXLANPort }),
		Help: "of VXLAN, UDP; each node announces its own"},
	{Name: "vxlan-vni", Value: "NUMBER", Default: strconv.Itoa(DefaultVNI), set: setVNI,
		Help: "network identifier of VXLAN, the same on all nodes; the device is flannel.NUMBER"},

	{Name: "port", Value: "PORT", Default: strconv.Itoa(DefaultPort), set: setPort(func(c *Config) *uint16 { return &c.Port }),
		Help: "data, UDP; each node announces its own"},
	{Name: "gossip-port", Value: "PORT", Default: strconv.Itoa(DefaultGossipPort), set: setPort(func(c *Config) *uint16 { return &c.GossipPort }),
		Help: "gossip, TCP and UDP"},
	{Name: "node-name", Value: "NAME", set: setNodeName,
		Help: "name shown to people (default the host name)"},
	{Name: "state-dir", Value: "DIR", Default: DefaultStateDir, set: setPath(func(c *Config) *string { return &c.StateDir }),
		Help: "identity, lease and node table"},
	{Name: "run-dir", Value: "DIR", Default: DefaultRunDir, set: setPath(func(c *Config) *string { return &c.RunDir }),
		Help: "subnet.env, docker, control socket"},
	{Name: "subnet-file", Value: "FILE", set: setPath(func(c *Config) *string { return &c.SubnetFile }),
		Help: "where subnet.env is written (default RUN-DIR/subnet.env)"},
	{Name: "docker-file", Value: "FILE", set: setPath(func(c *Config) *string { return &c.DockerFile }),
		Help: "where the options for dockerd are written (default RUN-DIR/docker)"},
	{Name: "docker-key", Value: "NAME", Default: DefaultDockerKey, set: setDockerKey,
		Help: "variable in that file with all options (Fedora's dockerd reads DOCKER_NETWORK_OPTIONS)"},
	{Name: "docker-part", Value: "I/N|none", Default: "1/1", set: setDockerPart,
		Help: "part of the lease that docker0 gets in that file: 1/2 leaves the other half to other Docker networks; none leaves docker0 elsewhere"},
	{Name: "docker-config", Value: "FILE", Default: DefaultDockerConfig, set: setPath(func(c *Config) *string { return &c.DockerConfig }),
		Help: "dockerd's daemon.json, which is only read: status names what in it does not fit the lease"},
	{Name: "device", Value: "NAME", Default: DefaultDevice, set: setDevice,
		Help: "overlay device"},
	{Name: "mtu", Value: "BYTES", set: setMTU,
		Help: "of the overlay device (default the underlay's less the largest overhead in --backend: udp 28, vxlan 50, ipip 20, host-gw 0)"},
	{Name: "ip-masq", Default: "false", set: setSwitch(func(c *Config) *bool { return &c.IPMasq }),
		Help: "masquerade overlay traffic that leaves the network"},
	{Name: "lease-ttl", Value: "DURATION", Default: "24h", set: setLeaseTTL,
		Help: "how long a dead node keeps its subnet"},
	{Name: "key-file", Value: "FILE", set: setPath(func(c *Config) *string { return &c.KeyFile }),
		Help: "cluster key that seals the gossip, mode 0600 (flanneld keygen makes one)"},
	{Name: "sealed", Default: "false", set: setSwitch(func(c *Config) *bool { return &c.Sealed }),
		Help: "found or join a network in which all packets are encrypted; the first host makes a key, unless --key-file names one (flanneld token prints what to type on the next)"},
	{Name: "insecure", Default: "false", set: setSwitch(func(c *Config) *bool { return &c.Insecure }),
		Help: "start without a cluster key even on a public address"},
	{Name: "allow-overlap", Default: "false", set: setSwitch(func(c *Config) *bool { return &c.AllowOverlap }),
		Help: "start although the network overlaps addresses or routes of this host"},
	{Name: "static-peer", Value: "SUBNET=ADDR:PORT", List: true, split: true, set: setStaticPeer,
		Help: "a host that runs flannel and no gossip, repeatable or comma separated; by other backends: SUBNET=host-gw:ADDR, SUBNET=ipip:ADDR, SUBNET=vxlan:ADDR[:PORT]/MAC"},
	{Name: "lanes", Value: "auto|N", Default: "auto", set: setLanes,
		Help: "packet lanes: queues of the device, each with its socket and thread (auto is one); small flows have one more"},
	{Name: "realtime", Value: "auto|off", Default: RealtimeAuto, set: setChoice(func(c *Config) *string { return &c.Realtime }, RealtimeAuto, RealtimeOff),
		Help: "whether lanes may be real-time threads, for a bounded share of a core"},
	{Name: "offload", Value: "auto|off|LIST", Default: "auto", set: setOffload,
		Help: "which offloads may be used, comma separated: " + strings.Join(Offloads(), ", ")},
	{Name: "on-conflict", Value: "release|wait", Default: Release, set: setChoice(func(c *Config) *string { return &c.OnConflict }, Release, Wait),
		Help: "after its lease was lost: release takes another once no container uses it; wait takes no other until a restart"},
	{Name: "metrics", Value: "ADDR:PORT", set: setMetrics,
		Help: "serve a page for browsers, /metrics for Prometheus, /healthz and /readyz over HTTP there, such as 127.0.0.1:8287 (default: nowhere)"},
	{Name: "log-level", Value: "LEVEL", Default: "info", set: setLogLevel,
		Help: "debug, info, warn or error"},
	{Name: "log-format", Value: "text|json", Default: LogText, set: setChoice(func(c *Config) *string { return &c.LogFormat }, LogText, LogJSON),
		Help: "to stderr"},
}
