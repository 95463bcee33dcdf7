// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Times are shown in the zone of the host.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	goleak.VerifyTestMain(m)
}

func TestWhatIsShownIsGolden(t *testing.T) {
	dir := serve(t, &fake{})
	for name, args := range map[string][]string{
		"status":     {"status"},
		"nodes":      {"nodes"},
		"route":      {"route", "get", "10.244.9.5"},
		"route-none": {"route", "get", "10.244.250.1"},
	} {
		for _, format := range []string{"table", "json"} {
			r := flanneld(t, nil, append(args, "--run-dir", dir, "-o", format)...)
			want := statusOK
			if name == "status" { // it has problems
				want = statusFailed
			}
			if r.status != want || r.err != "" {
				t.Errorf("%s: status %d, %s", name, r.status, r.err)
			}
			golden(t, name+"."+format, r.out)
			if format == "json" && !json.Valid([]byte(r.out)) {
				t.Errorf("%s: no JSON", name)
			}
		}
	}
}

func TestWhatAClaimWaitsForIsGolden(t *testing.T) {
	dir := serve(t, &fake{claiming: true})
	for _, format := range []string{"table", "json"} {
		golden(t, "status-claiming."+format, flanneld(t, nil, "status", "--run-dir", dir, "-o", format).out)
	}
	if r := flanneldOn(t, true, nil, "status", "--run-dir", dir); !strings.Contains(r.out, yellow+"claim") || strings.Contains(r.out, red) {
		t.Errorf("a claim is no alarm:\n%q", r.out)
	}
}

// The exit status of ping is that of the path in use, or of the one asked for.
func TestPingShowsEachPath(t *testing.T) {
	ill, well := serve(t, &fake{}), serve(t, &fake{well: true})
	for _, format := range []string{"table", "json"} {
		r := flanneld(t, nil, "ping", "beta", "--run-dir", well, "-o", format)
		golden(t, "ping."+format, r.out)
		if r.status != statusOK || r.err != "" {
			t.Errorf("status %d, %s", r.status, r.err)
		}
	}
	for _, c := range []struct {
		dir  string
		args string
		want int
		text string // in the output, or the error
	}{
		{ill, "beta", 1, "vxlan   yes   -        -        -        3 of 3  -"},
		{well, "beta --path udp --count 7 --size 1000", 0, "1 of 7  1000 of 1450"},
		{well, "beta --path host-gw", 1, "direct  -     -    -        -    -     -        behind router"},
		{well, "beta --path ipip", 1, "3 of 3"},
		{well, "gamma", 1, "flanneld: gamma (gk2puir6) is not reached: the node holds the lease and is dead\n"},
		{well, "beta --path wireguard", 2, "flanneld: --path wireguard: not one of short-cut, udp, direct, vxlan, ipip\n"},
		{well, "beta --count 0", 2, "flanneld: ping: count 0: not from 1 to 20\n"},
		{well, "beta --size 9", 2, "flanneld: ping: size 9: not from 64 to 65507 bytes\n"},
		{well, "beta --count x", 2, "flanneld: --count x: "},
		{well, "", 2, "flanneld: ping: NODE is missing: see flanneld ping --help\n"},
	} {
		r := flanneld(t, nil, append([]string{"ping", "--run-dir", c.dir}, strings.Fields(c.args)...)...)
		if r.status != c.want || !strings.Contains(r.out+r.err, c.text) {
			t.Errorf("%s: status %d, want %d with %q:\n%s%s", c.args, r.status, c.want, c.text, r.out, r.err)
		}
	}
}

// The exit status of status is for scripts: 0 only if nothing is wrong.
func TestStatusExitsWithZeroOnlyWhenAllIsWell(t *testing.T) {
	ill, well, claiming := serve(t, &fake{}), serve(t, &fake{well: true}), serve(t, &fake{claiming: true})
	for _, c := range []struct {
		dir   string
		args  []string
		want  int
		first string
	}{
		{well, nil, 0, "ok\n"},
		{well, []string{"-o", "json"}, 0, "{\n  \"ok\": true,"},
		{ill, nil, 1, "2 problems, the first: "},
		{ill, []string{"-o", "json"}, 1, "{\n  \"ok\": false,"},
		{ill, []string{"--exit-zero"}, 0, "2 problems, the first: "},
		{claiming, nil, 1, "1 problem: no lease yet: "},
		{claiming, []string{"--exit-zero"}, 0, "1 problem: no lease yet: "},
	} {
		r := flanneld(t, nil, append([]string{"status", "--run-dir", c.dir}, c.args...)...)
		if r.status != c.want || r.err != "" || !strings.HasPrefix(r.out, c.first) {
			t.Errorf("%v: got %+v, want %d and %q", c.args, r, c.want, c.first)
		}
	}
	for _, dir := range []string{ill, well} { // nodes shows it, too, and is no check
		if r := flanneld(t, nil, "nodes", "--run-dir", dir); r.status != 0 || !strings.HasPrefix(r.out, map[string]string{ill: "2 problems", well: "ok\n"}[dir]) {
			t.Errorf("nodes: got %+v", r)
		}
	}
}

func TestColorsAreForTerminalsOnly(t *testing.T) {
	dir := serve(t, &fake{})
	for _, command := range []string{"status", "nodes"} {
		plain := flanneld(t, nil, command, "--run-dir", dir)
		colored := flanneldOn(t, true, nil, command, "--run-dir", dir)
		if strings.Contains(plain.out, "\x1b") {
			t.Errorf("%s: escape sequences without a terminal", command)
		}
		bare := strings.NewReplacer(red, "", yellow, "", reset, "").Replace(colored.out)
		if bare != plain.out || bare == colored.out {
			t.Errorf("%s: colors change more than the color, or there are none:\n%q", command, colored.out)
		}
	}
	if r := flanneldOn(t, true, nil, "status", "--run-dir", dir); !strings.HasPrefix(r.out, red+"2 problems") {
		t.Errorf("the verdict is not red:\n%q", r.out)
	}
	if r := flanneldOn(t, true, nil, "nodes", "--run-dir", dir); !strings.Contains(r.out, red+"gamma") {
		t.Errorf("the dead node is not red:\n%q", r.out)
	}
	if r := flanneldOn(t, true, nil, "nodes", "--run-dir", dir); !strings.Contains(r.out, red+"beta") {
		t.Errorf("the node with a conflict is not red:\n%q", r.out)
	}
	if r := flanneldOn(t, true, nil, "status", "--run-dir", dir); !strings.Contains(r.out, red+"CONFLICT") {
		t.Errorf("the conflict is not red:\n%q", r.out)
	}
}

func TestCommandsTellTheDaemonAndSayWhatItDid(t *testing.T) {
	d := &fake{}
	dir := serve(t, d)
	for _, c := range []struct {
		args   []string
		status int
		out    string
		err    string
	}{
		{[]string{"join", "host1", "host2:9"}, 0, "joined host1, host2:9\n", ""},
		{[]string{"join", "host1", "bad1", "bad2"}, 1, "joined host1\n", "flanneld: bad1: no node answers; bad2: no node answers\n"},
		{[]string{"forget", "gamma"}, 0, "forgot gamma (gk2puir6): 10.244.3.0/24 is free\n", ""},
		{[]string{"forget", "beta"}, 1, "", "flanneld: node beta is alive: run `flanneld leave` there\n"},
		{[]string{"leave"}, 0, "left: 10.244.7.0/24 is handed back\n", ""},
	} {
		r := flanneld(t, map[string]string{"FLANNELD_RUN_DIR": dir}, c.args...)
		if r != (result{c.status, c.out, c.err}) {
			t.Errorf("%v: got %+v, want %+v", c.args, r, c)
		}
	}
	if !d.left {
		t.Error("the daemon was not asked to leave")
	}
}

func TestNoDaemonIsAnErrorThatSaysHowToStartOne(t *testing.T) {
	dir := t.TempDir()
	want := "flanneld: no flanneld answers on " + dir + "/flanneld.sock: start it with `systemctl start flanneld` or `flanneld run`\n"
	for _, args := range [][]string{{"status"}, {"nodes"}, {"route", "get", "10.1.1.1"}, {"join", "a"}, {"leave"}, {"forget", "a"}, {"ping", "a"}} {
		r := flanneld(t, nil, append(args, "--run-dir", dir)...)
		if r != (result{1, "", want}) {
			t.Errorf("%v: got %+v", args, r)
		}
	}
}

// The daemon's variables in the environment do not concern other commands.
func TestAWrongVariableOfTheDaemonDoesNotBreakOtherCommands(t *testing.T) {
	environ := map[string]string{"FLANNELD_RUN_DIR": serve(t, &fake{well: true}), "FLANNELD_MTU": "nonsense"}
	if r := flanneld(t, environ, "status"); r.status != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestDockerOptsNeedsNoDaemon(t *testing.T) {
	dir := t.TempDir()
	env := "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.5.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n"
	path := filepath.Join(dir, "subnet.env")
	if err := os.WriteFile(path, []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
	individual := "DOCKER_OPT_BIP=\"--bip=10.1.5.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=false\"\nDOCKER_OPT_MTU=\"--mtu=1400\"\n"
	for want, args := range map[string][]string{
		individual + "DOCKER_OPTS=\" --bip=10.1.5.1/24 --ip-masq=false --mtu=1400\"\n": {"--run-dir", dir},
		individual: {"-f", path, "-i"},
		"DOCKER_OPTS=\" --bip=10.1.5.1/24 --mtu=1400\"\n":       {"-f", path, "-c", "-m"},
		"X=\" --bip=10.1.5.1/24 --ip-masq=false --mtu=1400\"\n": {"-f", path, "-ckX"},
	} {
		if r := flanneld(t, nil, append([]string{"docker-opts"}, args...)...); r != (result{0, want, ""}) {
			t.Errorf("%v: got %+v, want %s", args, r, want)
		}
	}
	if r := flanneld(t, nil, "docker-opts", "-f", path, "-c", "-d", filepath.Join(dir, "out")); r != (result{}) {
		t.Errorf("-d: got %+v", r)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || !strings.HasPrefix(string(b), "DOCKER_OPTS=") {
		t.Errorf("-d wrote %q, %v", b, err)
	}
	if r := flanneld(t, nil, "docker-opts", "-f", dir+"/none"); r.status != 1 || !strings.Contains(r.err, dir+"/none") {
		t.Errorf("without a file: got %+v", r)
	}
}

func TestShortcutShowsAndSwitches(t *testing.T) {
	at := []string{"--run-dir", serve(t, &fake{well: true})}
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"shortcut"}, 0, []string{"the kernel carries udp to 1 peer\n", "1234000 packets, 1.8 GB", "egress-fragment 3, egress-too-long 1", "bridge-nf-call-iptables"}},
		{[]string{"shortcut", "auto"}, 0, []string{"the kernel carries udp to 1 peer\n"}},
		{[]string{"shortcut", "off"}, 0, []string{"short-cut  off (flanneld shortcut off)\n", "none, to user space"}},
		{[]string{"shortcut", "on"}, 2, []string{"give auto, off, or nothing"}},
		{[]string{"shortcut", "auto", "off"}, 2, []string{"give auto, off, or nothing"}},
	} {
		r := flanneld(t, nil, append(c.args, at...)...)
		for _, want := range c.want {
			if r.status != c.status || !strings.Contains(r.out+r.err, want) {
				t.Errorf("%v: got %+v, want %q", c.args, r, want)
			}
		}
	}
}

func TestKeygenPrintsAnotherKeyEachTime(t *testing.T) {
	first, second := flanneld(t, nil, "keygen"), flanneld(t, nil, "keygen")
	for _, r := range []result{first, second} {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(r.out, "\n"))
		if r.status != 0 || err != nil || len(key) != 32 {
			t.Errorf("got %+v", r)
		}
	}
	if first == second {
		t.Error("twice the same")
	}
}
