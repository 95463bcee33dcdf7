// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/host/ruleset"
	"flanneld/internal/packet"
)

// A switch of ufw counts where it stands alone on its line.
func TestLineOfAFileIsALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ufw.conf")
	if hasLine(path, "ENABLED=yes") {
		t.Error("a file that is not there has a line")
	}
	for text, want := range map[string]bool{
		"ENABLED=yes\n": true, "# comment\n  ENABLED=yes \r\nLOGLEVEL=low": true, "ENABLED=yes": true,
		"": false, "ENABLED=no\n": false, "# ENABLED=yes\n": false, "XENABLED=yes\n": false, "ENABLED=yesno\n": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := hasLine(path, "ENABLED=yes"); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// Whatever drops a flow, problem and advice are one line each. The advice is
// whole: no part of it was unknown.
func TestAdviceIsWholeForEveryFlow(t *testing.T) {
	network, lease := netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("10.244.7.0/24")
	own := netip.MustParsePrefix("192.0.2.1/32")
	for _, f := range []ruleset.Flow{
		{Name: "in", In: "flannel0", Out: "docker0", From: network, To: lease, Proto: 6},
		{Name: "data", In: "eth0", To: own, Proto: 17, Port: 8285}, {Name: "gossip", In: "eth0", To: own, Proto: 6, Port: 8286},
		{Name: "ipip", In: "eth0", To: own, Proto: protoIPIP},
		{Name: "ping", In: "eth0", From: network, To: own, Proto: packet.ICMP},
	} {
		for _, table := range []string{"firewalld", "filter", "x"} {
			for _, family := range []ruleset.Family{ruleset.FamilyInet, ruleset.FamilyIPv4} {
				for _, why := range []string{"policy drop of chain FORWARD", "rule 1 of chain ufw-x: -j DROP", "rule 2 of chain c: drop"} {
					for _, legacy := range []bool{false, true} {
						b := ruleset.Blocked{Flow: f, Chain: ruleset.Chain{Family: family, Table: table, Name: "FORWARD"}, Hook: "forward", Why: why, Legacy: legacy}
						advice, text := adviceFor(b, network), describe(b)
						if advice == "" || strings.Contains(advice, "invalid") || strings.ContainsAny(advice+text, "\n%") || strings.Contains(advice, "  ") {
							t.Errorf("%+v: %q", b, advice)
						}
						if !strings.Contains(text, f.Name) || !strings.Contains(text, table) || !strings.Contains(text, why) || strings.Contains(text, "legacy") != legacy {
							t.Errorf("%+v: %q", b, text)
						}
						if f.Port != 0 && !strings.Contains(advice, map[uint16]string{8285: "8285", 8286: "8286"}[f.Port]) {
							t.Errorf("%+v: the port is not in %q", b, advice)
						}
					}
				}
			}
		}
	}
}
