// SPDX-License-Identifier: Apache-2.0

package control

import (
	"net/netip"
	"time"
)

// Seconds is a duration in seconds, with a fraction.
type Seconds float64

// SecondsOf converts a duration.
func SecondsOf(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Duration converts back.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// Status is this node, as `flanneld status` shows it.
type Status struct {
	Health
	Version string  `json:"version"`
	PID     int     `json:"pid"`
	Uptime  Seconds `json:"uptime_seconds"`

	Node     NodeName       `json:"node"`
	Network  Network        `json:"network"`
	Lease    Lease          `json:"lease"`
	Device   Device         `json:"device"`
	Underlay Underlay       `json:"underlay"`
	Endpoint netip.AddrPort `json:"endpoint"` // announced, for datagrams
	Gossip   netip.AddrPort `json:"gossip"`   // announced, for gossip
	Security Security       `json:"security"`

	Lanes    int       `json:"lanes"`
	Threads  []Thread  `json:"threads"`  // of the lanes; empty without a device
	Offloads []Offload `json:"offloads"` // all there are, always in the same order

	Members Members `json:"members"`
	Backend Backend `json:"backend"`
	// Shortcut is what the kernel does of the path "udp".
	Shortcut Shortcut `json:"shortcut"`
	Paths    Paths    `json:"paths"`
	Egress   Traffic  `json:"egress"`  // overlay to underlay
	Ingress  Traffic  `json:"ingress"` // underlay to overlay
	// Drops counts dropped packets by reason; reasons without drops are left
	// out.
	Drops   map[string]uint64 `json:"drops"`
	Answers ICMPAnswers       `json:"icmp_answers"`
	// Arrived is what has come by each kernel path since the device was made.
	// What goes out by them is not counted: the kernel routes it.
	Arrived map[string]Traffic `json:"arrived_by_kernel_path"`
	// Refused is what came by each kernel path and was dropped, because no peer
	// may send it so, and under "sent" what containers and users of this host
	// tried to send to tunnels of other hosts. It counts since the rules were
	// made.
	Refused map[string]Traffic `json:"refused_by_kernel_path"`
	Probes  []Probes           `json:"probes"` // by path; empty without a device
	// PathChanges counts, by the new path, how often packets to a peer have
	// taken another one.
	PathChanges   map[string]uint64 `json:"path_changes"`
	GossipTraffic GossipTraffic     `json:"gossip_traffic"`
	Tables        []Table           `json:"tables"`

	Host      Host       `json:"host"`
	Conflicts []Conflict `json:"conflicts"`
	// Problems is what is wrong now; empty when all is well.
	Problems  []Problem `json:"problems"`
	Readiness Readiness `json:"readiness"`
	Metrics   Metrics   `json:"metrics"`
	Process   Process   `json:"process"`
}

// Problem is one thing that does not work as it should.
type Problem struct {
	Part   string  `json:"part"`   // what looked: firewall, underlay, path, ...
	Text   string  `json:"text"`   // what is wrong, one line
	Advice string  `json:"advice"` // what to type or to change; "" where flanneld mends it
	Since  Seconds `json:"since_seconds"`
}

// Offload is work that is left to the kernel, or could be.
type Offload struct {
	Name string `json:"name"` // tun-csum, tun-tso, tun-uso, udp-gso, udp-gro
	Used bool   `json:"used"`
	Note string `json:"note"` // why not
}

// NodeName names a node. The ID is its identity, the name is for people.
type NodeName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Text is the name with the first eight characters of the ID, which tell nodes
// of one name apart. It is either alone where the other is not known.
func (n NodeName) Text() string {
	id := n.ID[:min(8, len(n.ID))]
	switch {
	case n.Name == "":
		return id
	case id == "":
		return n.Name
	}
	return n.Name + " (" + id + ")"
}

// Network is what the founding node fixed for all. Everything is empty until
// it is known.
type Network struct {
	ID        string       `json:"id"`
	Prefix    netip.Prefix `json:"prefix"`
	SubnetLen int          `json:"subnet_len"`
	SubnetMin netip.Addr   `json:"subnet_min"`
	SubnetMax netip.Addr   `json:"subnet_max"`
}

// Lease is this node's own.
type Lease struct {
	State    string       `json:"state"`   // none, joining, claiming, announcing, confirmed, lost
	Waiting  string       `json:"waiting"` // what is being waited for, one line
	Subnet   netip.Prefix `json:"subnet"`
	Epoch    uint64       `json:"epoch"`
	Pinned   bool         `json:"pinned"`
	Electors int          `json:"electors"` // how many nodes were asked for it
	Promises int          `json:"promises"` // and how many agreed
	// PromisedBy names them, where the lease was granted since this start.
	PromisedBy []NodeName `json:"promised_by"`
	Age        Seconds    `json:"age_seconds"` // how long this daemon has known
	Claim      *Claim     `json:"claim"`       // under way; null: none
}

// Claim is a subnet being asked for: a majority of the electors, which are the
// nodes that hold leases, has to promise it.
type Claim struct {
	Subnet     netip.Prefix `json:"subnet"`
	Epoch      uint64       `json:"epoch"`
	Electors   int          `json:"electors"`
	Needed     int          `json:"needed"`   // promises
	Answered   int          `json:"answered"` // electors, whatever they said
	PromisedBy []NodeName   `json:"promised_by"`
	Missing    []Missing    `json:"missing"` // electors that have not answered
}

// Missing is a node that has not answered.
type Missing struct {
	NodeName
	State string  `json:"state"` // as in Node
	Since Seconds `json:"since_seconds"`
}

// States of the overlay device.
const (
	DeviceAbsent = "absent" // not made yet, or being made again
	DeviceUp     = "up"
	DeviceBroken = "broken" // Device.Note says what is wrong
)

// Device is the overlay device.
type Device struct {
	Name    string     `json:"name"`
	State   string     `json:"state"`
	Note    string     `json:"note"`
	Address netip.Addr `json:"address"`
	MTU     int        `json:"mtu"`
}

// Underlay is where this node's datagrams leave.
type Underlay struct {
	Interface     string     `json:"interface"`
	Address       netip.Addr `json:"address"`
	PublicAddress netip.Addr `json:"public_address"`
	MTU           int        `json:"mtu"`
}

// Security says what is sealed.
type Security struct {
	GossipSealed bool   `json:"gossip_sealed"`
	DataSealed   bool   `json:"data_sealed"`
	KeyFile      string `json:"key_file"` // of the cluster key; "": none
	Note         string `json:"note"`
	// Sealing is what the sessions of a sealed network are doing. It is empty
	// where packets travel in the clear, or the network is not known yet.
	Sealing Sealing `json:"sealing"`
}

// Sealing sums up the sessions with all peers since the start of the daemon.
type Sealing struct {
	Sessions   int    `json:"sessions"`   // with so many peers
	Handshakes uint64 `json:"handshakes"` // that led to a session
	Rekeys     uint64 `json:"rekeys"`     // of these, while there was a session
	Failed     uint64 `json:"failed"`     // series of attempts without an answer
	Waiting    int    `json:"waiting"`    // packets that wait for a session
	Dropped    uint64 `json:"dropped"`    // packets that waited in vain
	Roamed     int    `json:"roamed"`     // peers that are not at the endpoint of their record
	Roams      uint64 `json:"roams"`      // how often datagrams to a peer began to go elsewhere, or back
	// Rejected counts messages of handshakes by the reason to refuse them.
	// Packets that were refused are in Status.Drops.
	Rejected map[string]uint64 `json:"rejected"`
}

// States of the session with a node.
const (
	SealNone        = ""            // not needed, or the network is not sealed
	SealMissing     = "missing"     // packets to the node begin a handshake
	SealHandshaking = "handshaking" // packets to the node wait
	SealSession     = "session"
)

// NodeSealing is the session with one node.
type NodeSealing struct {
	State      string  `json:"state"`
	Suite      string  `json:"suite"`         // of the session: aes-256-gcm, chacha20-poly1305; "": none
	Since      Seconds `json:"since_seconds"` // age of the session
	Handshakes uint64  `json:"handshakes"`    // the rest as in Sealing
	Rekeys     uint64  `json:"rekeys"`
	Failed     uint64  `json:"failed"`
	Waiting    int     `json:"waiting"`
	Dropped    uint64  `json:"dropped"`
}

// Members counts nodes by state; this node is one of the alive ones.
type Members struct {
	Alive   int `json:"alive"`
	Suspect int `json:"suspect"`
	Dead    int `json:"dead"`
	Left    int `json:"left"`
	Static  int `json:"static"`
}

// Traffic counts overlay packets, and their bytes without any overhead.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// States of the firewall rules.
const (
	FirewallOK     = "ok"
	FirewallNone   = "none"   // this host has no iptables; Host.FirewallNote says more
	FirewallFailed = "failed" // the rules could not be put in place
	// FirewallOverruled: the rules are in place, and another program's rules
	// drop overlay traffic all the same.
	FirewallOverruled = "overruled"
)

// Host is what was set up on this host beside the device.
type Host struct {
	IPForward        bool    `json:"ip_forward"`
	IPForwardChanged bool    `json:"ip_forward_changed"` // by this daemon, since it started
	Firewall         string  `json:"firewall"`
	FirewallNote     string  `json:"firewall_note"`
	FirewallRepairs  uint64  `json:"firewall_repairs"` // how often rules had to be put back
	Masquerade       bool    `json:"masquerade"`
	SubnetFile       string  `json:"subnet_file"`
	DockerFile       string  `json:"docker_file"`
	DeviceRepairs    uint64  `json:"device_repairs"` // how often the device, its address or route had to be restored
	ReadyAfter       Seconds `json:"ready_after_seconds"`
	StrayBridge      string  `json:"stray_bridge"` // a bridge with another subnet than the lease; ""
	// Repairs counts, by the part that is kept on the host, how often other
	// programs' changes were undone.
	Repairs map[string]uint64 `json:"repairs"`
}

// Conflict is a subnet that two nodes claim.
type Conflict struct {
	Subnet netip.Prefix `json:"subnet"`
	Winner NodeName     `json:"winner"`
	Loser  NodeName     `json:"loser"`
	Since  Seconds      `json:"since_seconds"`
	Note   string       `json:"note"`
}

// Process is what the daemon costs.
type Process struct {
	Goroutines  int    `json:"goroutines"`
	Descriptors int    `json:"descriptors"`
	Memory      uint64 `json:"memory_bytes"` // resident
}

// Nodes is the node table.
type Nodes struct {
	Health
	Nodes []Node `json:"nodes"`
}

// StateStatic is the state of a node that was given with --static-peer: gossip
// does not know whether it lives. The other states are alive, suspect, dead and
// left.
const StateStatic = "static"

// Node is one line of the node table.
type Node struct {
	ID       string         `json:"id"` // "" for a static one
	Name     string         `json:"name"`
	State    string         `json:"state"`
	Since    Seconds        `json:"since_seconds"` // in this state, for this observer
	Self     bool           `json:"self"`
	Subnet   netip.Prefix   `json:"subnet"`
	Epoch    uint64         `json:"epoch"`
	Pinned   bool           `json:"pinned"`
	Electors int            `json:"electors"`          // how many nodes were asked for its lease
	Promises int            `json:"promises"`          // and how many agreed
	LeaseAge Seconds        `json:"lease_age_seconds"` // how long this daemon has known
	Conflict string         `json:"conflict"`          // what it holds or claims besides another; "": nothing
	Endpoint netip.AddrPort `json:"endpoint"`
	Gossip   netip.AddrPort `json:"gossip"`
	MTU      int            `json:"mtu"`
	// Stray is the underlay address from which packets of its subnet have come
	// in the last minute, where that is no node's: NAT between the hosts, or a
	// stranger. They are dropped. It is "" where there were none.
	Stray netip.Addr `json:"stray"`
	// Roamed is where datagrams to it go in a sealed network instead of its
	// endpoint, because its own come from there; "" where they do not.
	Roamed  netip.AddrPort `json:"roamed"`
	PathMTU int            `json:"path_mtu"` // of the underlay, where smaller than the device's; 0: none learned
	RTT     Seconds        `json:"rtt_seconds"`
	// Capabilities are what the node announces to understand, such as "udp/1".
	Capabilities []string `json:"capabilities"`
	Start        uint64   `json:"start"` // how often it has been started, or has moved to another underlay address
	Egress       Traffic  `json:"egress"`
	Ingress      Traffic  `json:"ingress"`
	Path         Path     `json:"path"` // the data path to it, by the path in use
	// PathChanges counts how often packets to it have taken another path.
	PathChanges uint64 `json:"path_changes"`
	// Paths are the paths of this node's --backend, the preferred one first;
	// empty where packets need none: for this node itself, and for one without
	// a lease, or that is dead.
	Paths []NodePath `json:"paths"`
	// Sealed is the session with it. It is empty for this node itself, for a
	// node without a lease, and in a network that is not sealed.
	Sealed NodeSealing `json:"sealed"`
	Note   string      `json:"note"`
}

// Kinds of next hop.
const (
	RouteVia         = "via"         // sent to another node
	RouteLocal       = "local"       // in this node's own lease
	RouteUnreachable = "unreachable" // the node that has it is dead: ICMP host unreachable
	RouteNone        = "none"        // no node has it: ICMP net unreachable
	RouteOutside     = "outside"     // not in the network: not flanneld's to route
)

// Route is the next hop of an address, and why.
type Route struct {
	Address  netip.Addr     `json:"address"`
	Kind     string         `json:"kind"`
	Prefix   netip.Prefix   `json:"prefix"`
	Node     NodeName       `json:"node"`
	State    string         `json:"state"` // of that node
	Endpoint netip.AddrPort `json:"endpoint"`
	Path     string         `json:"path"` // in use: udp, direct, vxlan, ipip; "" for none
	MTU      int            `json:"mtu"`  // largest packet that gets there whole
	Reason   string         `json:"reason"`
	// Paths are those of the node; see Node.
	Paths []NodePath `json:"paths"`
	// Kernel is what the kernel of this host does with packets to the
	// address. The host's own come first, then those of each bridge that
	// has addresses of this node's lease. Empty where it cannot be asked.
	Kernel []KernelRoute `json:"kernel"`
}

// JoinRequest asks to join more addresses, host[:port].
type JoinRequest struct {
	Addresses []string `json:"addresses"`
}

// Joined says which addresses are nodes of this network. All stay remembered
// and are tried again for as long as the daemon runs.
type Joined struct {
	Joined []string `json:"joined"`
	Failed string   `json:"failed"` // why not, for the others
}

// ForgetRequest names a dead node by name, ID, or the beginning of its ID.
type ForgetRequest struct {
	Node string `json:"node"`
}

// Left is what a node gave up.
type Left struct {
	Subnet netip.Prefix `json:"subnet"`
	Notes  []string     `json:"notes"` // what could not be removed
}

// Refusal is the answer to a request that was not done.
type Refusal struct {
	Error string `json:"error"`
}

// DockerNetworks is how the lease of this host is divided among Docker's
// networks.
type DockerNetworks struct {
	Network  netip.Prefix    `json:"network"`  // the overlay network
	Lease    netip.Prefix    `json:"lease"`    // of this host
	MTU      int             `json:"mtu"`      // bytes, of the overlay device
	Networks []DockerNetwork `json:"networks"` // with addresses of the overlay network, by subnet
	Free     []netip.Prefix  `json:"free"`     // what no network has of the lease
}

// DockerNetwork is a network of Docker.
type DockerNetwork struct {
	Name   string       `json:"name"`
	Bridge string       `json:"bridge"` // its device
	Subnet netip.Prefix `json:"subnet"`
	Part   string       `json:"part"` // of the lease, such as 1/2; "": no part
	Ours   bool         `json:"made_by_flanneld"`
	Wrong  []string     `json:"wrong"` // what does not fit the lease
}
