// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// step is one run of one test program on a kernel.
type step struct {
	Name    string   // of the step, unique
	Package string   // the package of the tests, relative to the module
	Tests   []string // names of the tests to run; all tests when empty
	Reads   []string // directories that the tests read beside testdata, relative to the module
	Before  []string // command lines that come first and have to succeed
	Short   bool     // part of what -short runs
}

// legacy makes iptables the one of the old interface, as update-alternatives on
// a Debian host does; modern is Debian's default, iptables over nf_tables.
const (
	legacy = "update-alternatives --set iptables /usr/sbin/iptables-legacy"
	modern = "update-alternatives --set iptables /usr/sbin/iptables-nft"
)

// readByShortcut: the tests of the short-cut compare its source with its
// objects, and use packets from the fuzz targets of package route.
var readByShortcut = []string{"internal/host/shortcut", "route/testdata"}

// lockdown keeps even root from changing the running kernel, until the machine
// is off (kernel_lockdown(7)). The kernel must say that it does.
var lockdown = []string{
	"mount -t securityfs securityfs /sys/kernel/security",
	"echo confidentiality >/sys/kernel/security/lockdown",
	`grep -F '[confidentiality]' /sys/kernel/security/lockdown`,
}

// The packages that talk to the kernel run whole, and some scenarios with
// three hosts or two run beside them. The old iptables comes late, and lockdown
// last: it stays.
var steps = []step{
	{Name: "tun", Package: "tun", Short: true},
	{Name: "encap", Package: "encap", Short: true},
	{Name: "poll", Package: "internal/poll", Short: true},
	{Name: "link", Package: "internal/host/link", Short: true},
	{Name: "kernelpath", Package: "internal/host/kernelpath", Short: true, Tests: shortKernelPaths},
	{Name: "packetsocket", Package: "internal/host/packetsocket"},
	{Name: "underlay", Package: "internal/host/underlay", Short: true},
	{Name: "ports", Package: "internal/host/ports", Short: true, Tests: shortPorts},
	{Name: "nft", Package: "internal/host/nft"},
	{Name: "identity", Package: "internal/host/identity", Short: true},
	{Name: "pathrules", Package: "internal/host/pathrules"},
	{Name: "ruleset", Package: "internal/host/ruleset"},
	{Name: "firewall", Package: "internal/host/firewall", Short: true, Tests: shortFirewall},
	{Name: "bridge", Package: "internal/host/bridge"},
	{Name: "shortcut", Package: "internal/host/shortcut", Reads: readByShortcut},
	{Name: "daemon", Package: "internal/daemon"},
	{Name: "proofs", Package: "internal/monitor", Tests: []string{"TestKernelPathsAreProvenAndLeft", "TestIPIPIsProvenWhereTheKernelHasIt"}},
	{Name: "more-kernelpath", Package: "internal/host/kernelpath"},
	{Name: "more-ports", Package: "internal/host/ports"},
	{Name: "more-firewall", Package: "internal/host/firewall"},
	{Name: "route", Package: "route"},
	{Name: "scenarios", Package: "test/e2e", Short: true, Before: []string{modern}, Tests: shortScenarios},
	{Name: "more-scenarios", Package: "test/e2e", Before: []string{modern}, Tests: longScenarios},
	{Name: "legacy-iptables", Package: "test/e2e", Before: []string{legacy}, Tests: firewallScenarios},
	{Name: "lockdown", Package: "internal/host/shortcut", Reads: readByShortcut, Before: lockdown},
}

// pick returns the steps of a run: from the short ones, or from all, the ones
// that words name. No words name all.
func pick(short bool, words []string) ([]step, error) {
	var picked []step
	for _, s := range steps {
		if (len(words) == 0 && (s.Short || !short)) || slices.Contains(words, s.Name) {
			picked = append(picked, s)
		}
	}
	for _, word := range words {
		if !slices.Contains(names(steps), word) {
			return nil, fmt.Errorf("unknown step %q; the steps are %s", word, strings.Join(names(steps), " "))
		}
	}
	return picked, nil
}

func names(steps []step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, s.Name)
	}
	return all
}

// pattern is the -test.run of the step.
func (s step) pattern() string {
	if len(s.Tests) == 0 {
		return "."
	}
	quoted := make([]string, len(s.Tests))
	for i, name := range s.Tests {
		quoted[i] = regexp.QuoteMeta(name)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// program is the file name of the step's test program on the second disk.
func (s step) program() string { return strings.ReplaceAll(s.Package, "/", "-") + ".test" }
