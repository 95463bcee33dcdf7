// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package guard

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/kernelpath"
	"flanneld/internal/host/link"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// running is a guard that keeps a device without a daemon.
type running struct {
	*Guard
	t     *testing.T
	dir   string
	board *problem.Board
	end   func() // may be called again
}

// start makes a device and starts a guard that keeps it.
func start(t *testing.T) *running {
	t.Helper()
	linktest.Script(t, `
		ip tuntap add dev flannel0 mode tun multi_queue
		ip link set flannel0 alias flanneld`)
	t.Cleanup(func() {
		linktest.Try("ip link delete flannel0")
		linktest.Try("nft delete table ip " + pathrules.TableName("flannel0"))
	})
	r := &running{t: t, dir: filepath.Join(t.TempDir(), "run"), board: problem.NewBoard(slog.New(slog.DiscardHandler))}
	parts, err := NewParts(Places{
		Device: "flannel0", RunDir: r.dir, Socket: socket{},
		SubnetFile: r.file("subnet.env"), DockerFile: r.file("docker"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hub := ruleset.NewHub()
	if _, err := hub.Start(ctx); err != nil {
		t.Fatal(err)
	}
	r.Guard = New(parts, hub, r.board, slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	r.end = func() {
		r.Release()
		cancel()
		<-ended
	}
	t.Cleanup(r.end)
	r.Protect([]ports.Member{{Addr: netip.MustParseAddr("192.0.2.1"), Data: 8285, Gossip: 8286, Self: true}}, "")
	rules := testRules
	rules.Device = "flannel0"
	settled, err := r.Keep(Target{
		Device: link.Config{Name: "flannel0", Alias: "flanneld", Addr: rules.Lease.Addr(), MTU: 1472, Network: rules.Network},
		Rules:  rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-settled
	r.KeepFiles([]byte("A=1\n"), []byte("B=1\n"))
	r.eventually("everything in place", r.wrong)
	return r
}

// file is the path of a file in the run directory.
func (r *running) file(name string) string { return filepath.Join(r.dir, name) }

// wrong is the first thing that a Check finds, "" for nothing.
func (r *running) wrong() string {
	for _, f := range r.parts.List().Check(r.t.Context()) {
		if f.Err != nil || len(f.Wrong) > 0 {
			return fmt.Sprintf("%s: %q, %v", f.Part, f.Wrong, f.Err)
		}
	}
	return ""
}

// eventually waits until a description of what is missing is empty. The guard
// promises 10 s.
func (r *running) eventually(what string, missing func() string) {
	r.t.Helper()
	text := ""
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if text = missing(); text == "" {
			return
		}
	}
	r.t.Errorf("not %s within 15 s: %s", what, text)
}

func TestWhatIsTakenAwayComesBack(t *testing.T) {
	r := start(t)
	for _, damage := range []string{
		"ip link set flannel0 down",
		"ip addr flush dev flannel0",
		"sysctl -qw net.ipv4.ip_forward=0",
		"iptables -w -t raw -F",
		"iptables -w -D FORWARD -j FLANNELD-flannel0",
		"nft delete table ip flanneld-flannel0",
		"nft delete table ip flanneld-identity-flannel0",
		"nft flush ruleset",
		"rm " + r.file("subnet.env"),
		"rm -r " + r.dir,
	} {
		linktest.Run(t, damage)
		r.eventually("repaired after "+damage, r.wrong)
	}
	s := r.State()
	if s.Firewall != RulesInPlace || s.FirewallRepairs < 2 || s.DeviceRepairs < 2 || !s.ForwardingChanged {
		t.Errorf("state: %+v", s)
	}
	if all := r.board.All(); len(all) > 0 {
		t.Errorf("problems: %+v", all)
	}
}

func TestRuleOfAnotherProgramIsNamedWhileItIsThere(t *testing.T) {
	r := start(t)
	linktest.Script(t, `
		nft add table inet other
		nft add chain inet other f { type filter hook forward priority 0 ; policy drop ; }`)
	t.Cleanup(func() { linktest.Try("nft delete table inet other") })
	r.eventually("overruled", func() string {
		if s := r.State(); s.Firewall != RulesOverruled || !strings.Contains(s.FirewallNote, "table inet other") {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	if all := r.board.All(); len(all) != 2 || all[0].Part != "rules" || !strings.HasPrefix(all[0].Advice, "nft insert rule inet other f") {
		t.Errorf("problems: %+v", all)
	}
	linktest.Run(t, "nft delete table inet other")
	r.eventually("in place", func() string {
		if s := r.State(); s.Firewall != RulesInPlace || len(r.board.All()) > 0 {
			return fmt.Sprintf("%+v, %+v", s, r.board.All())
		}
		return ""
	})
}

// A chain that masquerades before ours is named with what to type, and the rule
// that the advice adds ends it.
func TestChainThatMasqueradesFirstIsNamed(t *testing.T) {
	r := start(t)
	t.Cleanup(func() { linktest.Try("nft delete table ip other") })
	named := func() string {
		for _, p := range r.board.All() {
			if p.Part == "rules" && strings.Contains(p.Text, "gets another source address in chain post of nf_tables' table ip other") {
				return p.Advice
			}
		}
		return ""
	}
	for priority, want := range map[int]bool{89: true, 90: true, 91: false, 100: false} {
		linktest.Script(t, fmt.Sprintf(`
			nft add table ip other
			nft add chain ip other post { type nat hook postrouting priority %d ; }
			nft add rule ip other post ip saddr 10.244.7.0/24 ip daddr != 10.244.7.0/24 counter masquerade`, priority))
		if want {
			r.eventually(fmt.Sprintf("named at %d", priority), func() string {
				if named() == "" {
					return fmt.Sprintf("%+v", r.board.All())
				}
				return ""
			})
			if s := r.State(); s.Firewall != RulesInPlace { // nothing is dropped
				t.Errorf("%+v", s)
			}
			linktest.Run(t, named())
		} else {
			time.Sleep(interval)
		}
		r.eventually(fmt.Sprintf("not named at %d", priority), func() string { return named() })
		linktest.Run(t, "nft delete table ip other")
	}
	if s := r.State(); s.Firewall != RulesInPlace {
		t.Errorf("%+v", s)
	}
}

// Without nf_tables for it, iptables translates; see package firewall.
func TestIPTablesTranslatesWhereNFTablesCannot(t *testing.T) {
	r := start(t)
	translates := func() bool { return strings.Contains(linktest.Run(t, "iptables -w -t nat -S"), "FLANNELD-flannel0") }
	if translates() {
		t.Error("iptables translates without need")
	}
	broken := addresses(testRules)
	broken.Device = "no device/"
	r.parts.Addresses.Want(broken)
	r.eventually("done by iptables", func() string {
		if !translates() {
			return "no chain"
		}
		return ""
	})
	fine := *addresses(testRules)
	fine.Device = "flannel0"
	r.parts.Addresses.Want(&fine)
	r.eventually("done by nf_tables again", func() string {
		if translates() {
			return "the chain is there still"
		}
		return r.wrong()
	})
}

// checkedPaths are all kernel paths.
func checkedPaths() pathrules.Config {
	return pathrules.Config{
		Network: testRules.Network, Local: netip.MustParseAddr("192.0.2.1"), Underlay: "eth0",
		VXLAN: true, VXLANDevice: "flannel.1", VXLANPort: 8472, VNI: 1, IPIP: true, IPIPDevice: "flannel.ipip", Direct: true,
	}
}

// protectPaths makes the guard keep the checks of all kernel paths.
func (r *running) protectPaths() {
	r.t.Helper()
	c := checkedPaths()
	r.ProtectPaths(&c, []pathrules.Peer{{
		Prefix: netip.MustParsePrefix("10.244.8.0/24"), Endpoint: netip.MustParseAddr("192.0.2.8"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 8},
		Port: 8472, VXLAN: true, IPIP: true, Direct: true,
	}})
	r.eventually("everything in place", r.wrong)
}

func TestChecksOfKernelPathsComeBack(t *testing.T) {
	r := start(t)
	r.protectPaths()
	for _, damage := range []string{
		"nft delete table ip flanneld-paths-flannel0",
		"nft flush chain ip flanneld-paths-flannel0 input",
		"nft flush set ip flanneld-paths-flannel0 vxlan-24",
		"nft flush ruleset",
	} {
		time.Sleep(time.Second) // the pause after the last look
		linktest.Run(t, damage)
		began := time.Now()
		r.eventually("repaired after "+damage, func() string {
			if text, err := linktest.Try("nft list table ip flanneld-paths-flannel0"); err != nil || !strings.Contains(text, "192.0.2.8 . 10.244.8.0") ||
				!strings.Contains(text, "jump from-vxlan") {
				return "the table is not as it was"
			}
			return ""
		})
		if d := time.Since(began); d > time.Second {
			t.Errorf("repaired %v after %s", d, damage)
		}
	}
	r.eventually("everything in place", r.wrong)
	if all := r.board.All(); len(all) > 0 {
		t.Errorf("problems: %+v", all)
	}
	r.ProtectPaths(&pathrules.Config{}, nil)
	r.eventually("removed", func() string {
		text, _ := linktest.Try("nft list table ip flanneld-paths-flannel0")
		return text
	})
	r.protectPaths()
	r.end()
	if removed, err := r.parts.List().Remove(t.Context()); err != nil || !slices.Contains(removed, "table ip flanneld-paths-flannel0") {
		t.Errorf("removed %q, %v", removed, err)
	}
}

func TestRuleInTheWayOfATunnelIsNamed(t *testing.T) {
	r := start(t)
	r.protectPaths()
	linktest.Script(t, `
		nft add table inet other
		nft add chain inet other i { type filter hook input priority 0 ; }
		nft add rule inet other i udp dport 8472 drop
		nft add rule inet other i meta l4proto 4 drop`)
	t.Cleanup(func() { linktest.Try("nft delete table inet other") })
	r.eventually("overruled", func() string {
		all := r.board.All()
		if len(all) != 2 || !strings.Contains(all[0].Text, "to the VXLAN port (UDP 8472)") || !strings.Contains(all[1].Text, "by IPIP") ||
			all[1].Advice != "nft insert rule inet other i meta l4proto 4 accept" {
			return fmt.Sprintf("%+v", all)
		}
		return ""
	})
}

func TestNothingIsPutBackAfterTheRelease(t *testing.T) {
	r := start(t)
	r.end()
	removed, err := r.parts.List().Remove(t.Context())
	if want := []string{"device flannel0, its addresses and routes", "table ip flanneld-identity-flannel0", r.file("subnet.env"), r.file("docker")}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %q, %v", removed, err)
	}
	time.Sleep(2 * interval)
	for what, line := range map[string]string{"rules": "iptables -w -S", "tables": "nft list tables", "device": "ip link show"} {
		if got := linktest.Run(t, line); strings.Contains(got, "FLANNELD") || strings.Contains(got, "flannel0") {
			t.Errorf("%s: %s", what, got)
		}
	}
	if _, err := os.Stat(r.file("subnet.env")); err == nil {
		t.Error("subnet.env is there again")
	}
	if again, err := r.parts.List().Remove(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("again: removed %q, %v", again, err)
	}
}

// A guard that another process left behind can be checked and removed without
// knowing what was wanted: that is what cleanup does.
func TestPartsOfAStoppedDaemonAreRemoved(t *testing.T) {
	r := start(t)
	r.end()
	parts, err := NewParts(Places{
		Device: "flannel0", RunDir: r.dir, Socket: socket{}, SubnetFile: r.file("subnet.env"), DockerFile: r.file("docker"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parts.List().Check(t.Context()) {
		if f.Err != nil || len(f.Wrong) > 0 {
			t.Errorf("%s: %q, %v", f.Part, f.Wrong, f.Err)
		}
	}
	if removed, err := parts.List().Remove(t.Context()); err != nil || len(removed) != 4 {
		t.Errorf("removed %q, %v", removed, err)
	}
	wrong := 0
	for _, f := range parts.List().Check(t.Context()) {
		wrong += len(f.Wrong)
		if f.Part == host.Part(parts.Ports).Name() && len(f.Wrong) != 1 {
			t.Errorf("a table that is gone: %+v", f)
		}
	}
	if wrong != 1 {
		t.Errorf("%d differences after everything was removed", wrong)
	}
}

func TestProgramThatTakesRulesAwayAgainAndAgainIsNamed(t *testing.T) {
	r := start(t)
	for range fightRepairs {
		repairs := r.State().FirewallRepairs
		linktest.Run(t, "iptables -w -F FLANNELD-flannel0")
		r.eventually("another repair", func() string {
			if n := r.State().FirewallRepairs; n == repairs {
				return fmt.Sprint(n, " repairs")
			}
			return ""
		})
	}
	r.eventually("a fight", func() string {
		for _, p := range r.board.All() {
			if p.Part == "firewall" && strings.Contains(p.Text, "again and again by") && p.Advice != "" {
				return ""
			}
		}
		return fmt.Sprintf("problems %+v, %+v", r.board.All(), r.State())
	})
}

// Where there is no iptables the rules are the operator's, until it is
// installed.
func TestIPTablesThatIsInstalledLaterIsUsed(t *testing.T) {
	r := start(t)
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	host.Poke(r.rulesWake)
	r.eventually("left to the operator", func() string {
		if s := r.State(); s.Firewall != RulesLeft || s.FirewallNote == "" {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	if all := r.board.All(); len(all) > 0 {
		t.Errorf("problems: %+v", all)
	}
	t.Setenv("PATH", path)
	r.eventually("in place", func() string {
		if s := r.State(); s.Firewall != RulesInPlace || s.FirewallNote != "" {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
}

// A switch of another device may be meant: it is named, and left alone.
func TestBridgeThatDoesNotForwardIsNamed(t *testing.T) {
	r := start(t)
	linktest.Script(t, `
		ip link add docker0 type bridge
		ip addr add 10.244.7.1/24 dev docker0
		sysctl -qw net.ipv4.conf.docker0.forwarding=0`)
	t.Cleanup(func() { linktest.Try("ip link delete docker0") })
	r.eventually("named", func() string {
		for _, p := range r.board.All() {
			if p.Part == "forwarding" && strings.Contains(p.Text, "docker0") && strings.HasPrefix(p.Advice, "sysctl -w") {
				return ""
			}
		}
		return fmt.Sprintf("problems %+v", r.board.All())
	})
	if got := linktest.Run(t, "sysctl -n net.ipv4.conf.docker0.forwarding"); got != "0\n" {
		t.Errorf("forwarding of the bridge became %s", got)
	}
}

func noSenders() []pathrules.Peer { return nil }

// What other programs take away of the kernel paths is back within a second.
func TestKernelPathsArePutBack(t *testing.T) {
	linktest.Underlay(t)
	r := start(t)
	paths := kernelpath.Config{
		Network: testRules.Network, Lease: netip.MustParsePrefix("10.244.7.0/24"), Underlay: "eth0",
		Local: netip.MustParseAddr("192.168.7.1"), MTU: 1450, Alias: link.AliasPrefix + " test",
		VXLAN: &kernelpath.VXLAN{Name: "flannel.1", VNI: 1, Port: 8472, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 7}},
	}
	none := func(when string) {
		t.Helper()
		if got := linktest.Run(t, "ip link show"); strings.Contains(got, "flannel.1") {
			t.Errorf("%s there is a device, and nothing checks what comes by it: %s", when, got)
		}
	}
	r.KeepPaths(pathrules.Config{VXLAN: true}, paths, noSenders) // checks that cannot be
	time.Sleep(time.Second)
	none("after a second")
	r.Settle(t.Context())
	none("when all is settled")
	r.KeepPaths(checkedPaths(), paths, noSenders)
	peer := func(n byte, path string) kernelpath.Peer {
		return kernelpath.Peer{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24), Endpoint: netip.AddrFrom4([4]byte{192, 168, 7, n}),
			VXLAN: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, n}, Path: path,
		}
	}
	r.Reach([]kernelpath.Peer{peer(8, kernelpath.Vxlan), peer(9, kernelpath.Direct)})
	whole := func() bool {
		routes, _ := linktest.Try("ip route show proto 85")
		neighbors, _ := linktest.Try("ip neigh show dev flannel.1")
		fdb, _ := linktest.Try("bridge fdb show dev flannel.1")
		return strings.Count(routes, "onlink") == 2 && strings.Count(neighbors, "PERMANENT") == 2 &&
			strings.Count(fdb, "permanent") == 2 && strings.Contains(fdb, "02:00:00:00:00:08 dst 192.168.7.8")
	}
	within := func(when string, limit time.Duration) {
		t.Helper()
		began := time.Now()
		for !whole() {
			if time.Since(began) > limit {
				t.Fatalf("%s: not back within %v", when, limit)
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("%s: back after %v", when, time.Since(began).Round(time.Millisecond))
	}
	within("the start", 5*time.Second)
	for _, line := range []string{
		"ip route del 10.244.8.0/24", "ip route flush proto 85", "ip neigh flush dev flannel.1 nud permanent",
		"bridge fdb del 02:00:00:00:00:08 dev flannel.1", "ip link set flannel.1 down", "ip link delete flannel.1",
		"ip link set flannel.1 address 02:aa:aa:aa:aa:aa",
	} {
		time.Sleep(time.Second) // the pause after the last look
		linktest.Run(t, line)
		within(line, time.Second)
	}
	r.Release()
	linktest.Run(t, "ip route flush proto 85")
	time.Sleep(2 * time.Second)
	if got := linktest.Run(t, "ip route show proto 85"); got != "" {
		t.Errorf("kept after the release: %s", got)
	}
	if err := r.parts.Paths.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}
