// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package firewall

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// backends runs a test with each of the two iptables that hosts have.
func backends(t *testing.T, test func(*testing.T)) {
	for _, name := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Fatalf("install %s, flanneld has to work with it: %v", name, err)
			}
			bin := t.TempDir()
			if err := os.Symlink(path, filepath.Join(bin, "iptables")); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			before := allRules(t)
			t.Cleanup(func() {
				for _, table := range []string{"raw", "filter", "nat"} {
					linktest.Run(t, "iptables -t "+table+" -F")
					linktest.Run(t, "iptables -t "+table+" -X")
				}
				linktest.Run(t, "iptables -P FORWARD ACCEPT")
				if after := allRules(t); after != before {
					t.Errorf("the test left rules behind:\n%s", after)
				}
			})
			test(t)
		})
	}
}

// allRules is everything there is, in iptables' words.
func allRules(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"raw", "filter", "nat"} {
		all.WriteString(linktest.Run(t, "iptables -t "+table+" -S"))
	}
	return all.String()
}

// chain returns the rules of one chain.
func chain(t *testing.T, table, name string) []rule {
	t.Helper()
	return parse(strings.Split(linktest.Run(t, "iptables -t "+table+" -S "+name), "\n"), name)
}

// newFirewall translates by iptables, as where the kernel has no nf_tables.
func newFirewall(t *testing.T, c Config) *Firewall {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Translate(true)
	return f
}

// ensure runs Ensure and then expects a second run to find nothing to do.
func ensure(t *testing.T, f *Firewall) (changed []string) {
	t.Helper()
	wrong, err := f.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changed, err = f.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if (len(wrong) == 0) != (len(changed) == 0) {
		t.Errorf("Check found %q, Ensure changed %q", wrong, changed)
	}
	if wrong, err := f.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("Check after Ensure: %q, %v", wrong, err)
	}
	if again, err := f.Ensure(t.Context()); err != nil || len(again) > 0 {
		t.Fatalf("Ensure is not idempotent: first %q, then %q, %v\n%s", changed, again, err, allRules(t))
	}
	return changed
}

// docker28 is what Docker 28 has after a container was started, as far as it
// stands in the way.
const docker28 = `
	iptables -P FORWARD DROP
	iptables -N DOCKER
	iptables -N DOCKER-FORWARD
	iptables -N DOCKER-USER
	iptables -A FORWARD -j DOCKER-USER
	iptables -A FORWARD -j DOCKER-FORWARD
	iptables -A DOCKER-FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
	iptables -A DOCKER-FORWARD -o docker0 -j DOCKER
	iptables -A DOCKER-FORWARD -i docker0 -j ACCEPT
	iptables -A DOCKER ! -i docker0 -o docker0 -j DROP
	iptables -t raw -A PREROUTING -d 10.244.7.2/32 ! -i docker0 -j DROP
	iptables -t nat -A POSTROUTING -s 10.244.7.0/24 ! -o docker0 -j MASQUERADE
`

func TestRulesAreAddedOnceAndRemovedWhole(t *testing.T) {
	backends(t, func(t *testing.T) {
		linktest.Script(t, docker28)
		before := allRules(t)
		c := testConfig("flannel0")
		c.Masquerade = true
		f := newFirewall(t, c)
		if changed := ensure(t, f); len(changed) != 6 { // a chain and a jump in three tables
			t.Errorf("first Ensure: %q", changed)
		}
		for range 2 {
			if err := Remove(t.Context(), "flannel0"); err != nil {
				t.Fatal(err)
			}
		}
		if after := allRules(t); after != before {
			t.Errorf("Remove left\n%s\ninstead of\n%s", after, before)
		}
	})
}

func TestJumpStaysBeforeDockersRules(t *testing.T) {
	backends(t, func(t *testing.T) {
		f := newFirewall(t, testConfig("flannel0"))
		ensure(t, f)
		linktest.Script(t, docker28)
		linktest.Script(t, `
			iptables -t raw -I PREROUTING -d 10.244.7.3/32 ! -i docker0 -j DROP
			iptables -t nat -I POSTROUTING -s 10.244.7.0/24 ! -o docker0 -j MASQUERADE
			iptables -I DOCKER-USER -j DROP`)
		ensure(t, f)
		for table, parent := range map[string]string{"raw": "PREROUTING", "nat": "POSTROUTING"} {
			if got := chain(t, table, parent); got[0] != "-j FLANNELD-flannel0" {
				t.Errorf("%s %s: %q", table, parent, got)
			}
		}
		want := []rule{"-j DROP", "-j FLANNELD-flannel0"} // the operator's own place
		if got := chain(t, "filter", "DOCKER-USER"); !slices.Equal(got, want) {
			t.Errorf("DOCKER-USER: %q", got)
		}
	})
}

func TestJumpFollowsDockerUser(t *testing.T) {
	const jump rule = "-j FLANNELD-flannel0"
	backends(t, func(t *testing.T) {
		f := newFirewall(t, testConfig("flannel0"))
		in := func(where string, adapted bool) {
			t.Helper()
			if changed, err := f.Ensure(t.Context()); err != nil || len(changed) == 0 || f.Adapted() != adapted {
				t.Errorf("changed %q, %v; adapted: %t, want %t", changed, err, f.Adapted(), adapted)
			}
			ensure(t, f)
			for _, parent := range []string{"FORWARD", "DOCKER-USER"} {
				lines, err := linktest.Try("iptables -S " + parent)
				if err != nil && parent == where {
					t.Fatal(err)
				}
				if has := count(parse(strings.Split(lines, "\n"), parent), jump) == 1; has != (parent == where) {
					t.Errorf("jump wanted in %s only:\n%s", where, allRules(t))
				}
			}
		}
		in("FORWARD", false) // Docker was not started yet
		linktest.Script(t, docker28)
		in("DOCKER-USER", true) // it was, after flanneld
		linktest.Run(t, "iptables -F FORWARD")
		in("FORWARD", true) // flushed: DOCKER-USER is there, but nothing leads to it
		linktest.Run(t, "iptables -A FORWARD -j DOCKER-USER")
		in("DOCKER-USER", true) // Docker restarted
		linktest.Run(t, "iptables -I FORWARD -i eth1 -j DROP")
		in("FORWARD", true) // a rule comes before it
		linktest.Run(t, "iptables -D FORWARD -i eth1 -j DROP")
		linktest.Run(t, "iptables -N DOCKER-ISOLATION")
		linktest.Run(t, "iptables -A FORWARD -j DOCKER-ISOLATION")
		in("DOCKER-USER", true)
		linktest.Run(t, "iptables -D DOCKER-USER "+string(jump))
		in("DOCKER-USER", false) // another program has taken it away
	})
}

func TestFlushIsHealed(t *testing.T) {
	backends(t, func(t *testing.T) {
		linktest.Script(t, docker28)
		f := newFirewall(t, testConfig("flannel0"))
		ensure(t, f)
		whole := allRules(t)
		for _, flush := range []string{
			"iptables -F FLANNELD-flannel0", "iptables -F DOCKER-USER",
			"iptables -t raw -F FLANNELD-flannel0", "iptables -t nat -F FLANNELD-flannel0",
			"iptables -t nat -D FLANNELD-flannel0 1", "iptables -A FLANNELD-flannel0 -j DROP",
			"iptables -I FLANNELD-flannel0 -j DROP", "iptables -A DOCKER-USER -j FLANNELD-flannel0",
		} {
			linktest.Run(t, flush)
			if len(ensure(t, f)) == 0 || allRules(t) != whole {
				t.Errorf("after %s:\n%s", flush, allRules(t))
			}
		}
		linktest.Run(t, "iptables -F FORWARD") // DOCKER-USER is there without a jump to it
		ensure(t, f)
		if got := chain(t, "filter", "FORWARD"); !slices.Equal(got, []rule{"-j FLANNELD-flannel0"}) {
			t.Errorf("FORWARD: %q", got)
		}
		for _, table := range []string{"raw", "filter", "nat"} { // firewalld restarts
			linktest.Run(t, "iptables -t "+table+" -F")
			linktest.Run(t, "iptables -t "+table+" -X")
		}
		if changed := ensure(t, f); len(changed) != 6 {
			t.Errorf("after everything was flushed: %q", changed)
		}
	})
}

// Where nf_tables translates, the chain of an earlier process goes, and that of
// this one when nf_tables can do it again.
func TestChainThatTranslatesGoesWhereItIsNotNeeded(t *testing.T) {
	backends(t, func(t *testing.T) {
		linktest.Script(t, docker28)
		ensure(t, newFirewall(t, testConfig("flannel0")))
		with := allRules(t)
		f, err := New(testConfig("flannel0"))
		if err != nil {
			t.Fatal(err)
		}
		if changed := ensure(t, f); len(changed) != 1 || !strings.Contains(changed[0], "nat FLANNELD-flannel0: removed") {
			t.Errorf("an earlier process has a chain: %q", changed)
		}
		without := allRules(t)
		if strings.Count(with, "FLANNELD-flannel0") <= strings.Count(without, "FLANNELD-flannel0") || strings.Contains(linktest.Run(t, "iptables -t nat -S"), "FLANNELD") {
			t.Errorf("the chain is there still:\n%s", without)
		}
		if !f.Translate(true) || f.Translate(true) {
			t.Error("Translate does not report what is new")
		}
		if changed := ensure(t, f); len(changed) != 2 || allRules(t) != with {
			t.Errorf("nf_tables fails: %q\n%s", changed, allRules(t))
		}
		f.Translate(false)
		if changed := ensure(t, f); len(changed) != 1 || allRules(t) != without {
			t.Errorf("nf_tables can do it again: %q\n%s", changed, allRules(t))
		}
	})
}

func TestTwoDevicesDoNotFight(t *testing.T) {
	backends(t, func(t *testing.T) {
		linktest.Script(t, docker28)
		second := testConfig("flannel1")
		second.Network, second.Lease = netip.MustParsePrefix("10.99.0.0/16"), netip.MustParsePrefix("10.99.1.0/24")
		a, b := newFirewall(t, testConfig("flannel0")), newFirewall(t, second)
		ensure(t, a)
		only := allRules(t)
		ensure(t, b)
		both := allRules(t)
		for _, f := range []*Firewall{a, b} {
			if changed := ensure(t, f); len(changed) > 0 || allRules(t) != both {
				t.Errorf("one pushes the other away: %q", changed)
			}
		}
		if err := Remove(t.Context(), "flannel1"); err != nil {
			t.Fatal(err)
		}
		if got := allRules(t); got != only {
			t.Errorf("removing one changed the other:\n%s", got)
		}
	})
}

func TestNewLeaseTakesOverTheChain(t *testing.T) {
	backends(t, func(t *testing.T) {
		ensure(t, newFirewall(t, testConfig("flannel0")))
		c := testConfig("flannel0")
		c.Lease = netip.MustParsePrefix("10.244.9.0/24")
		ensure(t, newFirewall(t, c))
		if got := allRules(t); strings.Contains(got, "10.244.7.") || !strings.Contains(got, "10.244.9.") {
			t.Errorf("the older lease is still there:\n%s", got)
		}
		if err := Remove(t.Context(), "flannel0"); err != nil { // without knowing any lease
			t.Fatal(err)
		}
		if got := allRules(t); strings.Contains(got, chainPrefix) {
			t.Errorf("left behind:\n%s", got)
		}
	})
}
