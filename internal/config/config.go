// SPDX-License-Identifier: Apache-2.0

// Package config holds the settings of `flanneld run`: what they are called,
// what they mean where they are not set, and which combinations make sense.
//
// It is pure: it reads no file, no environment and no network of its own. The
// command hands in what stood on the command line and a way to look up
// environment variables, and gets back a Config that is valid as far as one
// can tell without looking at the host, or an *Error to show on one line.
package config

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/docker"
	"flanneld/peers"
)

// Defaults that other commands and the help text need as well. The ones that
// belong to the network or to gossip are those of peers.
const (
	DefaultRunDir    = "/run/flannel"
	DefaultStateDir  = "/var/lib/flanneld"
	DefaultDevice    = "flannel0"
	DefaultDockerKey = docker.DefaultKey
	// DefaultDockerConfig is where dockerd looks for its daemon.json.
	DefaultDockerConfig = "/etc/docker/daemon.json"
	DefaultPort         = 8285 // flannel's udp backend
	DefaultVXLANPort    = 8472 // flannel's vxlan backend: what Linux took before RFC 7348
	DefaultVNI          = 1    // flannel's, too
	DefaultGossipPort   = peers.DefaultGossipPort
	DefaultLeaseTTL     = peers.DefaultLeaseTTL
)

// DefaultNetwork is the network that a founding node takes.
var DefaultNetwork = peers.DefaultNetwork

// What a node does that lost its lease to another node.
const (
	Release = "release" // see peers.Release
	Wait    = "wait"    // see peers.Wait
)

// Whether lanes may be real-time threads.
const (
	RealtimeAuto = "auto" // where the process may, and within a budget
	RealtimeOff  = "off"
)

// Whether the kernel carries the udp format: see [Config.Shortcut].
const (
	ShortcutAuto = "auto" // where probes prove it
	ShortcutOff  = "off"

	// DefaultShortcut is what holds where none is given, but for a sealed
	// network.
	DefaultShortcut = ShortcutAuto
)

// The two log formats.
const (
	LogText = "text"
	LogJSON = "json"
)

// The names of the offloads: what the device leaves to its user, and what the
// sockets leave to the kernel.
const (
	TUNChecksum = "tun-csum" // packets come without transport checksums
	TUNTCP      = "tun-tso"  // TCP superpackets, in both directions
	TUNUDP      = "tun-uso"  // UDP superpackets, in both directions
	UDPSend     = "udp-gso"  // trains of datagrams, sent
	UDPReceive  = "udp-gro"  // and received
)

// Config is everything `flanneld run` can be told. The zero value of a field
// that has no default in the table of settings means "not given".
type Config struct {
	Network              netip.Prefix // zero: the default on a founding node, else learned
	SubnetLen            int          // 0: 24, or two more than a network smaller than /22
	SubnetMin, SubnetMax netip.Addr   // zero: the second and the last subnet of the network
	Subnet               netip.Prefix // the pin; zero: any subnet
	Join                 []string     // host[:port]
	Sources              []Source     // of more addresses to join

	Iface         []string // names or addresses, the first that exists is taken
	IfaceRegex    []string
	IfaceCanReach netip.Addr
	PublicIP      netip.Addr

	Backend Backend // at least one path, the best first
	// Shortcut is ShortcutAuto or ShortcutOff: whether small programs in the
	// kernel carry PathUDP to the peers that have them, too. In a sealed
	// network it is ShortcutOff.
	Shortcut  string
	VXLANPort uint16
	VNI       uint32 // of VXLAN, 24 bits

	Port, GossipPort uint16
	NodeName         string // "": the host's name
	ClusterNode      string // name of this node's Node in Kubernetes; "": NodeName
	StateDir         string
	RunDir           string
	SubnetFile       string      // "": see SubnetPath
	DockerFile       string      // "": see DockerPath
	DockerKey        string      // the variable with all options for dockerd
	DockerPart       docker.Part // of the lease, for docker0
	DockerConfig     string      // dockerd's daemon.json
	Device           string
	MTU              int // of the overlay device; 0: the underlay's less the largest overhead of Backend
	IPMasq           bool
	LeaseTTL         time.Duration
	KeyFile          string // of a sealed network never "": see check
	Sealed           bool   // the network carries no packet in the clear
	Insecure         bool
	AllowOverlap     bool // start although the network overlaps what this host has
	StaticPeers      []StaticPeer
	Lanes            int
	Realtime         string   // RealtimeAuto or RealtimeOff
	Offload          []string // which may be used
	OnConflict       string   // Release or Wait
	LogLevel         slog.Level
	LogFormat        string // LogText or LogJSON
	// Metrics is where metrics and health are served, over HTTP. Zero: nowhere.
	Metrics netip.AddrPort

	origin map[string]given // by setting name: where its value came from
}

// SubnetPath is where subnet.env is written.
func (c Config) SubnetPath() string {
	if c.SubnetFile != "" {
		return c.SubnetFile
	}
	return filepath.Join(c.RunDir, "subnet.env")
}

// DockerPath is where the options for dockerd are written.
func (c Config) DockerPath() string {
	if c.DockerFile != "" {
		return c.DockerFile
	}
	return filepath.Join(c.RunDir, "docker")
}

// SocketPath is where the daemon's control socket is.
func (c Config) SocketPath() string { return filepath.Join(c.RunDir, control.SocketName) }

// Founds reports whether a node configured like this may found a network: one
// that was told to join never does. With k8s: one of the cluster's nodes is
// elected to.
func (c Config) Founds() bool { return len(c.Join) == 0 && len(c.Sources) == 0 }

// Given reports whether a setting, by the name of its flag, has a value from
// the command line or the environment.
func (c Config) Given(name string) bool {
	_, ok := c.origin[name]
	return ok
}

// given is where a value came from, for messages.
type given struct{ source, value string }
