// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os/exec"
	"strings"
)

// Way is one direction between two hosts on the bridge.
type Way struct{ From, To *Host }

// Between is every way from one of a to one of b, and back.
func Between(a, b []*Host) []Way { return append(OneWay(a, b), OneWay(b, a)...) }

// OneWay is every way from one of a to one of b.
func OneWay(a, b []*Host) []Way {
	var ways []Way
	for _, from := range a {
		for _, to := range b {
			ways = append(ways, Way{from, to})
		}
	}
	return ways
}

// Block makes the switch drop every frame that goes one of the ways, and pass
// all others again that it dropped before. A host notices only that nothing
// arrives.
func (l *Lab) Block(ways ...Way) {
	l.t.Helper()
	if len(ways) == 0 {
		l.forwarding("")
		return
	}
	var pairs []string
	for _, w := range ways {
		pairs = append(pairs, fmt.Sprintf("%q . %q", w.From.port(), w.To.port()))
	}
	l.forwarding(fmt.Sprintf("iifname . oifname { %s } drop", strings.Join(pairs, ", ")))
}

// Lose makes the switch drop that many of a hundred frames, of all hosts.
func (l *Lab) Lose(percent int) {
	l.t.Helper()
	l.forwarding(fmt.Sprintf("numgen random mod 100 < %d drop", percent))
}

// Drop makes the switch drop the frames that an nftables expression matches.
func (l *Lab) Drop(expression string) {
	l.t.Helper()
	l.forwarding(expression + " drop")
}

// Mend ends [Lab.Block], [Lab.Lose] and [Lab.Drop].
func (l *Lab) Mend() { l.forwarding("") }

// forwarding replaces the switch's rule at once: there is no moment without
// either the old or the new one.
func (l *Lab) forwarding(rule string) {
	l.t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`table bridge cut
delete table bridge cut
table bridge cut {
	chain forward {
		type filter hook forward priority 0; policy accept;
		%s
	}
}
`, rule))
	if r := l.Switch.RunCommand(l.t, cmd); r.Status != 0 {
		l.t.Fatalf("set the switch's rule %q: %s", rule, r.Stderr)
	}
}
