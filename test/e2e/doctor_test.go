// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/test/lab"
)

// diagnosis is `flanneld doctor -o json`, as far as it is looked at here.
type diagnosis struct {
	OK      bool   `json:"ok"`
	Summary string `json:"summary"`
	Running bool   `json:"running"`
	Checks  []struct {
		Group   string `json:"group"`
		Name    string `json:"name"`
		Verdict string `json:"verdict"`
		Text    string `json:"text"`
		Advice  string `json:"advice"`
	} `json:"checks"`
	status int
}

// doctor runs the command on a host. Lines of a shell script change the host's
// files before, for the command alone.
func doctor(t *testing.T, h *lab.Host, files ...string) (d diagnosis, err error) {
	t.Helper()
	command := h.Command("doctor", "-o", "json", "--settings", filepath.Join(h.RunDir, "settings"))
	script := strings.Join(append(files, `exec "$@"`), "\n")
	inside := exec.Command("unshare", append([]string{"--mount", "sh", "-euc", script, "sh"}, command.Args...)...)
	inside.Env = command.Env
	r := h.RunCommand(t, inside)
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
		return d, fmt.Errorf("doctor of %s: exit status %d: %w: %s%s", h.NodeName, r.Status, err, r.Stdout, r.Stderr)
	}
	d.status = r.Status
	return d, nil
}

// together does something on all hosts at the same time.
func together(hosts []*lab.Host, do func(*lab.Host) error) error {
	wrong := make([]error, len(hosts))
	var all sync.WaitGroup
	for i, h := range hosts {
		all.Go(func() { wrong[i] = do(h) })
	}
	all.Wait()
	return errors.Join(wrong...)
}

// bad lists what is not ok, one line each.
func (d diagnosis) bad() (lines []string) {
	for _, c := range d.Checks {
		if c.Verdict != "ok" {
			lines = append(lines, fmt.Sprintf("%s: %s: %s -> %s", c.Verdict, c.Name, c.Text, c.Advice))
		}
	}
	return lines
}

// finding is a line that doctor of a host has to have: it has the name and the
// verdict ("": any but ok), and mentions the words.
type finding struct {
	on            *lab.Host
	name, verdict string
	words         []string
}

// find waits until doctor of each host has all its lines. The hosts look at the
// same time. Lines of a shell script are as for
// doctor.
func find(t *testing.T, what string, files map[*lab.Host][]string, all ...finding) {
	t.Helper()
	missing := map[*lab.Host][]finding{}
	for _, f := range all {
		missing[f.on] = append(missing[f.on], f)
	}
	lab.Eventually(t, 30*time.Second, "doctor to find "+what, func() error {
		return together(slices.Collect(maps.Keys(missing)), func(h *lab.Host) error {
			d, err := doctor(t, h, files[h]...)
			for _, f := range missing[h] {
				if err == nil {
					err = d.finds(f.name, f.verdict, f.words...)
				}
			}
			return err
		})
	})
}

// finds reports whether some line has the verdict and the name, and mentions
// the words. Each line that is not ok says what to type.
func (d diagnosis) finds(name, verdict string, words ...string) error {
	if (d.status == 0) != d.OK || d.status != 0 && d.status != 1 {
		return fmt.Errorf("exit status %d, ok %t", d.status, d.OK)
	}
	found := false
	for _, c := range d.Checks {
		if c.Verdict != "ok" && (c.Advice == "" || c.Text == "") {
			return fmt.Errorf("no advice: %+v", c)
		}
		all := c.Name == name && (c.Verdict == verdict || verdict == "" && c.Verdict != "ok")
		for _, word := range words {
			all = all && strings.Contains(c.Text+" -> "+c.Advice, word)
		}
		found = found || all
	}
	if !found {
		return fmt.Errorf("no line %s %s with %q; what is not ok:\n%s", verdict, name, words, strings.Join(d.bad(), "\n"))
	}
	return nil
}

// A fault that is made on host2 or between the hosts, and the line that doctor
// on one host has for it.
type fault struct {
	what     string
	do, undo string // by a shell on host2
	files    string // or by a shell, with mounts that doctor alone sees
	cut      string // or an expression for the switch between the hosts
	on       int    // the host on which doctor runs
	name     string // of the line
	verdict  string
	words    []string
}

// ownEtc gives a command an /etc/cni/net.d of its own.
const ownEtc = `mkdir -p $RUN/etc/upper $RUN/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=$RUN/etc/upper,workdir=$RUN/etc/work none /etc
mkdir -p /etc/cni/net.d
rm -f /etc/cni/net.d/*
`

// labs are faults of running daemons. Those of one scene are made together, and
// undone before the next scene.
var labs = []struct {
	args   []string // of both daemons
	scenes [][]fault
}{{nil, [][]fault{{
	{what: "another program drops forwarded packets", do: "iptables-legacy -P FORWARD DROP", undo: "iptables-legacy -P FORWARD ACCEPT",
		on: 2, name: "rules", verdict: "broken", words: []string{"policy drop of chain FORWARD", "iptables-legacy -P FORWARD ACCEPT"}},
	{what: "firewalld without the network", do: "nft add table inet firewalld; nft add chain inet firewalld f '{ type filter hook forward priority 10; }'; nft add rule inet firewalld f reject",
		undo: "nft delete table inet firewalld", on: 2, name: "rules", verdict: "broken", words: []string{"firewall-cmd --permanent --zone=trusted --add-source=10.244.0.0/16"}},
	{what: "another program masquerades first", do: "nft add table ip other; nft add chain ip other post '{ type nat hook postrouting priority 50; }'; nft add rule ip other post masquerade",
		undo: "nft delete table ip other", on: 2, name: "rules", verdict: "broken", words: []string{"another source address", "nft insert rule ip other post"}},
	{what: "docker0 without the options", do: "ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0",
		undo: "ip link delete docker0", on: 2, name: "docker0", verdict: "warning", words: []string{"172.17.0.1/16", "DOCKER_OPTS"}},
	{what: "a setting that is none", do: "echo FLANNELD_NETWROK=10.0.0.0/8 > $RUN/settings", undo: "rm $RUN/settings",
		on: 2, name: "settings", verdict: "warning", words: []string{"FLANNELD_NETWROK", "systemctl restart flanneld"}},
	{what: "large datagrams are lost", cut: "udp dport 8285 udp length > 1000", on: 1, name: "largest packet", verdict: "broken", words: []string{"of packets to host2", "tracepath", "--mtu"}},
}, {
	{what: "routes that beat the overlay's", do: "ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up; ip route add 10.244.0.0/17 dev other0; ip route add 10.244.128.0/17 dev other0",
		undo: "ip link delete other0", on: 2, name: "route", verdict: "broken", words: []string{"do not go to flannel0", "ip route"}},
	{what: "a bridge in the network, outside the lease", do: "ip link add br-foreign type bridge; ip address add 10.244.255.1/24 dev br-foreign; ip link set br-foreign up",
		undo: "ip link delete br-foreign", on: 2, name: "bridge", verdict: "broken", words: []string{"br-foreign", "not in the lease"}},
	{what: "a cluster key that is none", do: "echo secret > $RUN/key; chmod 600 $RUN/key; echo FLANNELD_KEY_FILE=$RUN/key > $RUN/settings", undo: "rm $RUN/settings $RUN/key",
		on: 2, name: "cluster key", verdict: "broken", words: []string{"not base64", "flanneld keygen"}},
	{what: "a network configuration without its plugin", files: ownEtc + `echo '{"name":"a","plugins":[{"type":"flanneld-cni"}]}' > /etc/cni/net.d/10-ours.conflist`,
		on: 2, name: "cni", verdict: "broken", words: []string{"10-ours.conflist", "flanneld-cni", "flanneld cni install"}},
	{what: "another network configuration in front", files: `echo '{"name":"b","type":"bridge"}' > /etc/cni/net.d/05-bridge.conf`,
		on: 2, name: "cni", verdict: "warning", words: []string{"05-bridge.conf comes before 10-ours.conflist", "move 05-bridge.conf out of /etc/cni/net.d"}},
	{what: "a network configuration that is none", files: "echo '{' > /etc/cni/net.d/20-half.conf",
		on: 2, name: "cni", verdict: "warning", words: []string{"20-half.conf", "correct the file"}},
}}}, {[]string{"--shortcut", "off"}, [][]fault{{ // its programs pass by rules of the host
	{what: "the data port is closed on a host", do: "nft add table inet other; nft add chain inet other in '{ type filter hook input priority 10; }'; nft add rule inet other in udp dport 8285 drop",
		undo: "nft delete table inet other", on: 2, name: "rules", verdict: "broken", words: []string{"to the data port (UDP 8285)", "nft insert rule inet other in udp dport 8285 accept"}},
	{what: "the device and a route of a foreign flannel", do: "ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472; ip link set flannel.1 up; ip route add $LEASE1 dev flannel.1",
		undo: "ip link delete flannel.1", on: 2, name: "route", verdict: "broken", words: []string{"flannel.1", "ip route"}},
	{what: "and what the other host says of it", do: "true", on: 1, name: "data path", verdict: "broken", words: []string{"host2", "let UDP port 8285 pass"}},
}, {
	{what: "a device that is set down again and again", do: "(for i in $(seq 300); do ip link set flannel0 down; sleep 0.03; done) >/dev/null 2>&1 & echo $! > $RUN/loop", undo: "kill $(cat $RUN/loop)",
		on: 2, name: "device", verdict: "broken", words: []string{"flannel0", "journalctl"}},
	{what: "gossip by UDP is cut there", cut: "udp dport 8286 ip daddr $HOST2", on: 1, name: "gossip port", verdict: "broken", words: []string{"UDP does not pass to host2", "open UDP port 8286 of $HOST2"}},
	{what: "gossip by TCP is cut back", cut: "tcp dport 8286 ip daddr $HOST1", on: 1, name: "gossip port", verdict: "broken", words: []string{"TCP does not pass from host2", "open TCP port 8286 of this host"}},
	{what: "a setting that cannot be", do: "echo FLANNELD_PORT=http > $RUN/settings", undo: "rm $RUN/settings",
		on: 2, name: "settings", verdict: "broken", words: []string{"FLANNELD_PORT", "correct it in"}},
}}}, {[]string{"--backend", "auto"}, [][]fault{{
	{what: "gossip by UDP is cut back", cut: "udp dport 8286 ip daddr $HOST1", on: 1, name: "gossip port", verdict: "broken", words: []string{"UDP does not pass from host2", "open UDP port 8286 of this host"}},
	{what: "the disk of the state directory is full", do: "cp -a $STATE $STATE.kept; mount -t tmpfs -o size=64k,mode=700 none $STATE; cp $STATE.kept/* $STATE/; cat /dev/zero > $STATE/fill 2>/dev/null || true",
		undo: "umount $STATE", on: 2, name: "state disk", verdict: "broken", words: []string{"no lease can be kept", "df -h $STATE"}},
	{what: "gossip by TCP is cut there", cut: "tcp dport 8286 ip daddr $HOST2", on: 1, name: "gossip port", verdict: "broken", words: []string{"TCP does not pass to host2", "open TCP port 8286 of $HOST2"}},
	{what: "strict reverse path filters", do: "sysctl -q -w net.ipv4.conf.all.rp_filter=1", undo: "sysctl -q -w net.ipv4.conf.all.rp_filter=0",
		on: 2, name: "rp_filter", verdict: "warning", words: []string{"strict for the underlay", "rp_filter=2"}},
}, {
	{what: "a daemon that does not answer", do: "kill -STOP $PID", undo: "kill -CONT $PID", on: 2, name: "running", verdict: "broken", words: []string{"journalctl -u flanneld"}},
}}}}

// Each fault has its line in doctor, with what to type, and without a fault
// nothing is wrong.
func TestDoctorFindsEachFault(t *testing.T) {
	t.Parallel()
	for _, one := range labs {
		t.Run(one.scenes[0][0].what, func(t *testing.T) {
			t.Parallel()
			l, h1, h2 := duo(t, one.args...)
			if slices.Contains(one.args, "auto") {
				kernelCarries(t, "auto", h1, h2)
			}
			if err := together(l.Hosts(), func(h *lab.Host) error {
				well(t, h, 10*time.Second)
				d, err := doctor(t, h)
				if bad := d.bad(); err == nil && (!d.OK || !d.Running || len(bad) > 0) {
					err = fmt.Errorf("%s without a fault: %s\n%s", h.NodeName, d.Summary, strings.Join(bad, "\n"))
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, scene := range one.scenes {
				start := time.Now()
				play(t, l, h1, h2, scene)
				t.Logf("%s, and more: all was found after %v", scene[0].what, time.Since(start).Round(10*time.Millisecond))
			}
		})
	}
}

// play makes the faults of a scene, waits until doctor has found all, and
// undoes them.
func play(t *testing.T, l *lab.Lab, h1, h2 *lab.Host, scene []fault) {
	t.Helper()
	replace := strings.NewReplacer("$HOST1", h1.Addr.String(), "$HOST2", h2.Addr.String(), "$RUN", h2.RunDir, "$STATE", h2.StateDir,
		"$LEASE1", h1.Lease().String(), "$PID", fmt.Sprint(h2.Daemon.PID())).Replace
	var cuts []string
	var all []finding
	files := map[*lab.Host][]string{}
	for _, f := range scene {
		on := l.Hosts()[f.on-1]
		switch {
		case f.cut != "":
			cuts = append(cuts, replace(f.cut))
		case f.files != "":
			files[on] = append(files[on], replace(f.files))
		default:
			h2.Exec(t, "sh", "-euc", replace(f.do))
		}
		line := finding{on, f.name, f.verdict, nil}
		for _, word := range f.words {
			line.words = append(line.words, replace(word))
		}
		all = append(all, line)
	}
	if len(cuts) > 0 {
		l.Drop(strings.Join(cuts, " drop\n"))
	}
	find(t, scene[0].what+", and more", files, all...)
	for _, f := range scene {
		if f.undo != "" {
			h2.Exec(t, "sh", "-euc", replace(f.undo))
		}
	}
	l.Mend()
}

// What is wrong with another node, or with a daemon that has no lease or does
// not run, has its line, too. So has NAT, by which host2 sends: it is named
// there and on the host that gets the datagrams.
func TestDoctorFindsFaultsOfOtherNodes(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Host(), l.Host(), l.Host()
	key := newKey(t, h1, "key")
	h1.Start("--key-file", key).WaitReady(ready)
	h2.Exec(t, "sh", "-euc", "nft add table ip other; nft add chain ip other post '{ type nat hook postrouting priority 100; }'; nft add rule ip other post udp dport 8285 snat to 192.168.50.99")
	later := exec.Command(l.OtherVersion("new"), "run", "--state-dir", h2.StateDir, "--run-dir", h2.RunDir, "--node-name", h2.NodeName,
		"--key-file", key, "--join", h1.Addr.String())
	h2.StartCommand(later).WaitReady(ready)
	h3.Start("--key-file", newKey(t, h3, "key"), "--join", h1.Addr.String())
	lab.WaitAgreed(t, []*lab.Host{h1, h2}, 2, ready)
	const nat = "come from 192.168.50.99 and not from 192.168.50.12"
	find(t, "faults of running daemons", nil,
		finding{h1, "versions", "warning", []string{"host2", "has flanneld new, and this host lab", "upgrade the older one"}},
		finding{h1, "senders", "broken", []string{"packets of host2", nat, "exempt UDP port 8285 from NAT on that host", "--public-ip 192.168.50.99"}},
		finding{h2, "version", "warning", []string{"the daemon is new, and this command is lab", "systemctl restart flanneld"}},
		finding{h2, "senders", "broken", []string{"host1", "packets of this host " + nat, "exempt UDP port 8285 from NAT on this host", "nft list ruleset"}},
		finding{h3, "ready", "broken", []string{"no lease yet", "cluster key"}})

	h2.Daemon.Stop()
	h2.Exec(t, "sh", "-euc", "ip link delete flannel0; ip link add flannel0 type veth peer name other0")
	foreign := "FLANNEL_NETWORK=10.99.0.0/16\nFLANNEL_SUBNET=10.99.7.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
	if err := os.WriteFile(filepath.Join(h2.RunDir, "subnet.env"), []byte(foreign), 0o644); err != nil {
		t.Fatal(err)
	}
	find(t, "a stopped daemon", nil,
		finding{h1, "gossip port", "", []string{"host2", "refuses TCP", "systemctl start flanneld"}}, // a warning once it is known to be gone
		finding{h2, "running", "broken", []string{"systemctl start flanneld"}},
		finding{h2, "device", "broken", []string{"flannel0", "stop the program that made it (flannel?)", "ip link delete flannel0"}},
		finding{h2, "subnet file", "warning", []string{"10.99.0.0/16", "another program has written it", "systemctl disable --now flannel"}})
}
