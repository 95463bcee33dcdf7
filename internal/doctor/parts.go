// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"flanneld/internal/control"
	"flanneld/internal/problem"
)

// part is how a part of package problem is shown: where, how bad its problems
// are, and what to say.
type part struct {
	group   string
	verdict string // of its problems
	well    string // what is known where it has none
	advice  string // where a problem comes without any
}

// mended is the advice about what a running daemon puts back by itself.
const mended = "flanneld restores it within seconds; if it comes back, see which program is named in: journalctl -u flanneld"

// parts has each part that reports problems.
var parts = map[string]part{
	problem.PartControl:    {"daemon", control.CheckWarning, "the control socket is in its place", mended},
	problem.PartRunDir:     {"daemon", control.CheckWarning, "the run directory is there", mended},
	problem.PartState:      {"daemon", control.CheckBroken, "the state directory can be written to", "free space on its disk, or make it writable: df -h; journalctl -u flanneld"},
	problem.PartLease:      {"daemon", control.CheckBroken, "the lease is confirmed", "see what it waits for: flanneld status; flanneld nodes"},
	problem.PartCluster:    {"daemon", control.CheckWarning, "no trouble with a cluster's API server", "see: journalctl -u flanneld, or kubectl logs"},
	problem.PartSubnetFile: {"daemon", control.CheckBroken, "the file that CNI plugins read is as it should be", mended},
	problem.PartDockerFile: {"daemon", control.CheckBroken, "the file with the options for dockerd is as it should be", mended},

	problem.PartDevice:     {"host", control.CheckBroken, "the overlay device is up, with its address and its route", mended},
	problem.PartForwarding: {"host", control.CheckBroken, "the kernel forwards packets of the overlay", mended},
	problem.PartFirewall:   {"host", control.CheckBroken, "the iptables rules are in place", mended},
	problem.PartRules:      {"host", control.CheckBroken, "no rule of another program drops overlay traffic or translates it", "look for the rule: nft list ruleset; iptables-save; iptables-legacy-save"},
	problem.PartAddresses:  {"host", control.CheckWarning, "containers keep their addresses towards other hosts", mended},
	problem.PartPorts:      {"host", control.CheckWarning, "containers and users cannot send to the members' ports", mended},
	problem.PartPaths:      {"host", control.CheckWarning, "the devices and routes of kernel paths are as they should be", mended},
	problem.PartShortcut:   {"host", control.CheckWarning, "the short-cut through the kernel is as it should be", mended},
	problem.PartPathRules:  {"host", control.CheckWarning, "what comes by kernel paths is checked", mended},

	problem.PartUnderlay:    {"network", control.CheckBroken, "the underlay address is on an interface that is up", "see: ip address; ip route"},
	problem.PartOverlap:     {"network", control.CheckWarning, "the network overlaps no address or route of this host", "see: ip route"},
	problem.PartRoute:       {"network", control.CheckBroken, "the kernel sends packets for other hosts to the overlay", "see: ip rule; ip route; flanneld route get ADDRESS"},
	problem.PartConflict:    {"network", control.CheckBroken, "no subnet is claimed by two nodes", "see: flanneld nodes"},
	problem.PartStaticPeers: {"network", control.CheckWarning, "the static peers fit the network", "correct --static-peer"},

	problem.PartPath:    {"peers", control.CheckBroken, "no data path to a peer has failed", "see: flanneld nodes; flanneld ping NODE"},
	problem.PartBackend: {"peers", control.CheckBroken, "a path of --backend leads to each peer", "give both hosts a path in common with --backend"},
	problem.PartMirror:  {"peers", control.CheckBroken, "this host answers packets of peers", "look for rules that drop them: nft list ruleset; iptables-save"},
	problem.PartSize:    {"peers", control.CheckBroken, "no peer sends packets that are too large for this device", "give all nodes one MTU with --mtu"},

	problem.PartCrossing:     {"containers", control.CheckBroken, "packets pass between the device and the containers' bridges", "look for rules that drop them: nft list ruleset; iptables-save"},
	problem.PartBridge:       {"containers", control.CheckBroken, "no bridge has addresses of another host's subnet", "give the bridge a subnet of the lease, or one outside the network"},
	problem.PartDockerConfig: {"containers", control.CheckWarning, "daemon.json fits the lease", "correct it (flanneld docker-opts --json), and restart docker"},
}

// judgeParts makes a line of each part that reports problems: of each problem,
// or that there is none.
func (e *exam) judgeParts(problems []control.Problem) {
	byPart := map[string][]control.Problem{}
	for _, p := range problems {
		byPart[p.Part] = append(byPart[p.Part], p)
	}
	for _, name := range problem.Parts() {
		about := parts[name]
		found := byPart[name]
		delete(byPart, name)
		if why := e.status.Shortcut.Why; len(found) == 0 && name == problem.PartShortcut && why != "" {
			e.ok(about.group, name, "packets do not take it: %s", why)
		} else if len(found) == 0 {
			e.ok(about.group, name, "%s", about.well)
		}
		for _, p := range found {
			e.judgePart(name, about, p)
		}
	}
	for name, found := range byPart { // of a daemon that is later than this program
		for _, p := range found {
			e.judgePart(name, part{group: "daemon", verdict: control.CheckWarning, advice: "see: flanneld status"}, p)
		}
	}
}

func (e *exam) judgePart(name string, about part, p control.Problem) {
	advice := p.Advice
	if advice == "" {
		advice = about.advice
	}
	e.add(about.group, name, about.verdict, p.Text, advice)
}
