// SPDX-License-Identifier: Apache-2.0

package test

import (
	"slices"
	"strings"
	"testing"
)

// hostArrows lists which packages of internal/host import which. "host" is the
// package of that name itself. What is missing here imports none of them.
var hostArrows = map[string][]string{
	"envfile":    {"host"},                                        // a file is a part
	"rundir":     {"host"},                                        // so is the run directory
	"docker":     {"envfile", "host"},                             // reads what envfile wrote; a stale daemon.json is told of as a part
	"engine":     {"docker", "envfile"},                           // a network has a part of the lease, and its first address
	"podman":     {"envfile"},                                     // the same
	"bridge":     {"host", "envfile", "rtnl"},                     // knows a bridge of containers by its address
	"link":       {"host", "rtnl", "bridge"},                      // forwards between device and bridges
	"fib":        {"rtnl"},                                        //
	"kernelpath": {"host", "link", "rtnl"},                        // knows what an alias and a setting of a device are
	"underlay":   {"rtnl"},                                        //
	"firewall":   {"host", "pathrules", "ruleset"},                // looks for the mark; knows which changes concern it
	"nft":        {"ruleset"},                                     // whether rules have changed is known there
	"ports":      {"host", "nft", "rtnl"},                         // its table is a part; knows which devices are gateways
	"pathrules":  {"host", "nft", "rtnl"},                         // the same, and which devices are containers'
	"identity":   {"host", "nft", "pathrules", "ruleset", "rtnl"}, // a part as well; looks for the mark, and for Docker's table; knows which bridges lead to other hosts
	"shortcut":   {"host", "rtnl"},                                // its programs are a part; knows bridges and neighbors
	"guard": {"host", "bridge", "envfile", "firewall", "identity", "kernelpath", "link", "pathrules", "ports", "ruleset", "shortcut", // keeps them all
		"rundir", "docker", "nft"}, // passes over tables with our prefix
}

// TestPartsOfTheHostKnowEachOtherWhereTheyMust: a part can be read alone, and
// used with the daemon stopped.
func TestPartsOfTheHostKnowEachOtherWhereTheyMust(t *testing.T) {
	const root = module + "/internal/host"
	seen := map[string]bool{}
	for _, p := range list(t, "linux") {
		name, ok := strings.CutPrefix(p.ImportPath, root+"/")
		if !ok || strings.Contains(name, "/") {
			continue
		}
		seen[name] = true
		for _, path := range p.Imports {
			other, below := strings.CutPrefix(path, root+"/")
			if path == root {
				other, below = "host", true
			}
			if below && !slices.Contains(hostArrows[name], other) {
				t.Errorf("internal/host/%s imports %s: state why in hostArrows, or do without", name, path)
			}
		}
	}
	for name := range hostArrows {
		if !seen[name] {
			t.Errorf("hostArrows has %s, which is no package", name)
		}
	}
}
