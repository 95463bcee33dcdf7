// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/probe"
)

func TestPathProblemsSayWhereToLook(t *testing.T) {
	here := netip.MustParseAddr("192.0.2.1")
	trouble := func(name string, static bool, r probe.Result) pathTrouble {
		return pathTrouble{Result: r, name: name, static: static, endpoint: netip.MustParseAddrPort("192.0.2.2:8285")}
	}
	silent, arriving := probe.Result{State: probe.Failed}, probe.Result{State: probe.Failed, Arriving: true}
	small := probe.Result{State: probe.SmallOnly, Tried: 1472}
	refused := probe.Result{State: probe.Failed, Refused: errors.New("operation not permitted")}
	for name, c := range map[string]struct {
		troubles []pathTrouble
		probed   int
		count    int
		words    []string
	}{
		"none":                    {nil, 3, 0, nil},
		"one way":                 {[]pathTrouble{trouble("b (bb)", false, arriving)}, 3, 1, []string{"b (bb)", "192.0.2.2:8285", "packets come from it", "open UDP port 8285 on b (bb) for 192.0.2.1"}},
		"the only peer is silent": {[]pathTrouble{trouble("b", false, silent)}, 1, 1, []string{"data path to b", "nothing comes from it", "UDP port 8285 of this host"}},
		"all are silent":          {[]pathTrouble{trouble("b", false, silent), trouble("c", false, silent)}, 2, 1, []string{"no peer is reached", "open UDP port 8285 of 192.0.2.1"}},
		"large ones":              {[]pathTrouble{trouble("b", false, small)}, 3, 1, []string{"small packets only", "1472", "tracepath", "--mtu"}},
		"large ones, static":      {[]pathTrouble{trouble("b", true, small)}, 3, 1, []string{"small packets only", "smaller MTU than 1472", "--mtu"}},
		"refused":                 {[]pathTrouble{trouble("b", false, refused)}, 3, 1, []string{"this host does not send there", "operation not permitted", "ip route get 192.0.2.2"}},
		"many": {[]pathTrouble{trouble("b", false, silent), trouble("c", false, silent), trouble("d", false, silent), trouble("e", false, silent),
			trouble("f", false, silent), trouble("g", false, silent), trouble("h", false, silent)}, 9, pathsNamed + 1, []string{"more than 5 other", "flanneld nodes"}},
	} {
		got := pathProblems(c.troubles, c.probed, here, 8285, 1472)
		if len(got) != c.count {
			t.Errorf("%s: %d problems, want %d: %v", name, len(got), c.count, got)
		}
		var text strings.Builder
		for _, p := range got {
			text.WriteString(p.Text + " " + p.Advice + "\n")
		}
		for _, word := range c.words {
			if !strings.Contains(text.String(), word) {
				t.Errorf("%s: no %q in %s", name, word, text.String())
			}
		}
	}
}
