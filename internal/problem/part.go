// SPDX-License-Identifier: Apache-2.0

package problem

// Names of the parts that report problems. They are the "part" of a problem in
// the JSON of `status`, and so a contract.
//
// Parts that are kept on the host.
const (
	PartRunDir       = "run directory"
	PartControl      = "control"
	PartPorts        = "ports"
	PartPathRules    = "path rules"
	PartDevice       = "device"
	PartForwarding   = "forwarding"
	PartPaths        = "kernel paths"
	PartShortcut     = "short-cut"
	PartAddresses    = "addresses" // of containers: no other program translates them
	PartFirewall     = "firewall"
	PartSubnetFile   = "subnet file"
	PartDockerFile   = "docker file"
	PartBridge       = "bridge"      // of containers, and not in the lease
	PartDockerConfig = "daemon.json" // dockerd's
	PartRules        = "rules"       // of other programs
)

// Parts that are monitored on the data plane.
const (
	PartPath     = "path"
	PartMirror   = "mirror"
	PartCrossing = "crossing"
	PartRoute    = "route"
	PartSize     = "mtu"
)

// Parts of the network, and how this node is attached to it.
const (
	PartLease       = "lease"
	PartConflict    = "conflict"
	PartState       = "state"
	PartUnderlay    = "underlay"
	PartCluster     = "cluster" // of Kubernetes
	PartOverlap     = "overlap"
	PartStaticPeers = "static peers"
	PartBackend     = "backend" // a peer that no path leads to
)

// Parts lists the names of all parts that report problems. A test of package
// test compares it with the constants.
func Parts() []string {
	return []string{
		PartRunDir, PartControl, PartPorts, PartPathRules, PartDevice, PartForwarding, PartPaths, PartShortcut,
		PartAddresses, PartFirewall, PartSubnetFile, PartDockerFile, PartBridge, PartDockerConfig,
		PartRules, PartPath, PartMirror, PartCrossing, PartRoute, PartSize, PartLease, PartConflict,
		PartState, PartUnderlay, PartCluster, PartOverlap, PartStaticPeers, PartBackend,
	}
}
