// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"fmt"
	"slices"
	"strings"

	"flanneld/internal/host/pathrules"
)

// A rule is what follows "-A CHAIN" in the words and the order in which
// iptables -S prints it, so that what is there can be compared with what
// should be.
type rule string

// args splits the rule for the command line; no word in it has blanks.
func (r rule) args() []string { return strings.Fields(string(r)) }

// table is one of the iptables tables with flanneld's chain in it.
type table struct {
	name    string
	parents []string // built-in or Docker's chains where a jump may stand
	rules   []rule   // of flanneld's chain
}

// way is one way in and out of this host for overlay packets, as conditions of
// rules.
type way struct{ in, out string }

// ways are the direct path, the tunnels, and the overlay device: what carries
// most packets first, since each rule that does not match costs them some time.
// Of direct packets only the marked ones are let in: the mark says that a
// member sent them (see package pathrules).
func (c Config) ways() []way {
	lease, network := c.Lease.String(), c.Network.String()
	in, out := "-s "+network+" -d "+lease+" -i ", "-s "+lease+" -d "+network+" -o "
	var all []way
	if c.Direct != "" {
		all = append(all, way{fmt.Sprintf("%s%s -m mark --mark %#x/%#[3]x", in, c.Direct, pathrules.Mark), out + c.Direct})
	}
	for _, device := range slices.Concat(c.Tunnels, []string{c.Device}) {
		all = append(all, way{in + device, out + device})
	}
	return all
}

// abilities are what this host's iptables can do.
type abilities struct {
	// randomFully: masquerading can choose ports at random (1.6.2). Otherwise
	// two flows may get the same port and lose a packet.
	randomFully bool
	netmap      bool // the kernel has the target NETMAP
}

// tables returns what should be there. askUser sends overlay traffic through
// DOCKER-USER before it is accepted.
func tables(c Config, can abilities, askUser bool) []table {
	var raw, ask, filter []rule
	for _, w := range c.ways() {
		raw = append(raw, rule(w.in+" -j ACCEPT"))
		ask = append(ask, rule(w.in+" -j "+dockerUser), rule(w.out+" -j "+dockerUser))
		filter = append(filter, rule(w.in+" -j ACCEPT"), rule(w.out+" -j ACCEPT"))
	}
	if askUser {
		filter = append(ask, filter...)
	}
	return []table{
		{name: "raw", parents: []string{"PREROUTING"}, rules: raw},
		{name: "filter", parents: []string{dockerUser, "FORWARD"}, rules: filter},
		{name: natTable, parents: []string{"POSTROUTING"}, rules: natRules(c, can)},
	}
}

// natTable is the table of iptables that translates addresses.
const natTable = "nat"

// natRules are for kernels that cannot do it with nf_tables; see package
// identity. NETMAP to the same address binds the connection, as the rules there
// do: it ends nat POSTROUTING, so neither Docker's masquerading nor the one
// below gets to see overlay traffic, nor does a later chain of nf_tables change
// it. ACCEPT does only the former. The rule names the device because a
// container that calls its own published port needs Docker's masquerading
// within the lease.
func natRules(c Config, can abilities) []rule {
	lease, network := c.Lease.String(), c.Network.String()
	var rules []rule
	keep := " -j ACCEPT"
	if can.netmap {
		keep = " -j NETMAP --to " + lease
	}
	for _, w := range c.ways() {
		rules = append(rules, rule(w.out+keep))
	}
	if !c.Masquerade {
		return rules
	}
	random := ""
	if can.randomFully {
		random = " --random-fully"
	}
	rules = append(rules,
		rule("-s "+lease+" -d 224.0.0.0/4 -j RETURN"),
		rule("-s "+lease+" ! -d "+network+" -j MASQUERADE"+random),
	)
	// From this host's other networks into the overlay: such a source would be
	// refused on the way out, as LEASE.0 it is not. The address is given, and
	// not the device's (MASQUERADE): a connection that changes its path keeps
	// it, where the kernel ends one that is masqueraded by another device.
	into := " -j SNAT --to-source " + c.Lease.Addr().String() + random
	for _, device := range append([]string{c.Device}, c.Tunnels...) {
		rules = append(rules, rule("! -s "+network+" -o "+device+into))
	}
	if c.Direct != "" {
		rules = append(rules, rule("! -s "+network+" -d "+network+" -o "+c.Direct+into))
	}
	return rules
}

// dockerUser is the chain that Docker makes for the operator's rules and does
// not touch again.
const dockerUser = "DOCKER-USER"

// jumpTo is the rule that leads from a parent to flanneld's chain.
func jumpTo(chain string) rule { return rule("-j " + chain) }

// parse keeps the rules of one chain from the lines of iptables -S CHAIN.
func parse(lines []string, chain string) []rule {
	var rules []rule
	for _, line := range lines {
		if r, ok := strings.CutPrefix(line, "-A "+chain+" "); ok {
			rules = append(rules, rule(strings.TrimSpace(r)))
		}
	}
	return rules
}

// leading returns the rules after the jumps to any flanneld's chain at the
// beginning: those of several devices share the first places in any order,
// or two daemons would push each other back for ever.
func leading(rules []rule) (jumps, rest []rule) {
	i := slices.IndexFunc(rules, func(r rule) bool { return !strings.HasPrefix(string(r), "-j "+chainPrefix) })
	if i < 0 {
		return rules, nil
	}
	return rules[:i], rules[i:]
}

// jumpFirst reports whether the parent has the jump once, among the leading
// ones.
func jumpFirst(parent []rule, jump rule) bool {
	jumps, rest := leading(parent)
	return count(jumps, jump) == 1 && count(rest, jump) == 0
}

// returns ends DOCKER-USER where Docker made it; what comes after is not
// reached.
const returns rule = "-j RETURN"

// userEnd is how many rules of DOCKER-USER, without our jump, can take effect.
func userEnd(parent []rule) int {
	if i := slices.Index(parent, returns); i >= 0 {
		return i
	}
	return len(parent)
}

// jumpLast reports whether DOCKER-USER has the jump once, and after it only
// jumps of other flannelds before the end.
func jumpLast(parent []rule, jump rule) bool {
	i := slices.Index(parent, jump)
	if i < 0 || count(parent, jump) != 1 {
		return false
	}
	end := userEnd(parent)
	if i > end {
		return false
	}
	_, rest := leading(parent[i:end])
	return len(rest) == 0
}

// dockerRules is how packets reach Docker's chain for the operator's rules. It
// decides where the jump to flanneld's chain belongs, and what is in that.
type dockerRules struct {
	first   bool // before any rule of another program
	reached bool // if they get so far
}

func dockerRulesOf(forward []rule) dockerRules {
	return dockerRules{first: beginsWithDocker(forward), reached: slices.Contains(forward, jumpTo(dockerUser))}
}

// askUser reports whether flanneld's chain has to ask that chain, as it comes
// before.
func (d dockerRules) askUser() bool { return d.reached && !d.first }

// beginsWithDocker reports whether FORWARD sends every packet to DOCKER-USER
// before any rule of another program.
func beginsWithDocker(forward []rule) bool {
	_, rest := leading(forward)
	return len(rest) > 0 && rest[0] == jumpTo(dockerUser)
}

func count(rules []rule, r rule) (n int) {
	for _, have := range rules {
		if have == r {
			n++
		}
	}
	return n
}

// inPlace reports whether the rules of a chain are those written, or read as
// they did right after they were written. If another program flushed the
// chain in between, fewer were read, and the rest does not count as right.
func inPlace(have, written, printed []rule) bool {
	return len(have) == len(written) && (slices.Equal(have, written) || slices.Equal(have, printed))
}
