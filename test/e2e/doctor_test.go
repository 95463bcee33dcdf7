// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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

// doctor runs the command on a host.
func doctor(t *testing.T, h *lab.Host, args ...string) (d diagnosis) {
	t.Helper()
	r := h.Flanneld(append([]string{"doctor", "-o", "json", "--settings", filepath.Join(h.RunDir, "settings")}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil {
		t.Fatalf("%s: exit status %d: %v: %s%s", h.NodeName, r.Status, err, r.Stdout, r.Stderr)
	}
	d.status = r.Status
	return d
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
		all := c.Name == name && c.Verdict == verdict
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
// on host1 or host2 has for it.
type fault struct {
	what     string
	do, undo string // by a shell on host2
	cut      string // or an expression for the switch between the hosts
	on       int    // the host on which doctor runs
	name     string // of the line
	verdict  string
	words    []string
}

// scenes are faults of a running daemon. Those of one scene are made together,
// and undone before the next scene.
var scenes = [][]fault{{
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
}, {
	{what: "the data port is closed on a host", do: "nft add table inet other; nft add chain inet other in '{ type filter hook input priority 10; }'; nft add rule inet other in udp dport 8285 drop",
		undo: "nft delete table inet other", on: 2, name: "rules", verdict: "broken", words: []string{"to the data port (UDP 8285)", "nft insert rule inet other in udp dport 8285 accept"}},
	{what: "and what the other host says of it", do: "true", undo: "true", on: 1, name: "data path", verdict: "broken", words: []string{"host2", "let UDP port 8285 pass"}},
}, {
	{what: "a device that is set down again and again", do: "(for i in $(seq 300); do ip link set flannel0 down; sleep 0.03; done) >/dev/null 2>&1 & echo $! > $RUN/loop", undo: "kill $(cat $RUN/loop)",
		on: 2, name: "device", verdict: "broken", words: []string{"flannel0", "journalctl"}},
	{what: "gossip by UDP is cut there", cut: "udp dport 8286 ip daddr $HOST2", on: 1, name: "gossip port", verdict: "broken", words: []string{"UDP does not pass to host2", "open UDP port 8286 of $HOST2"}},
	{what: "gossip by TCP is cut back", cut: "tcp dport 8286 ip daddr $HOST1", on: 1, name: "gossip port", verdict: "broken", words: []string{"TCP does not pass from host2", "open TCP port 8286 of this host"}},
	{what: "a setting that cannot be", do: "echo FLANNELD_PORT=http > $RUN/settings", undo: "rm $RUN/settings",
		on: 2, name: "settings", verdict: "broken", words: []string{"FLANNELD_PORT", "correct it in"}},
}, {
	{what: "gossip by UDP is cut back", cut: "udp dport 8286 ip daddr $HOST1", on: 1, name: "gossip port", verdict: "broken", words: []string{"UDP does not pass from host2", "open UDP port 8286 of this host"}},
	{what: "gossip by TCP is cut there", cut: "tcp dport 8286 ip daddr $HOST2", on: 1, name: "gossip port", verdict: "broken", words: []string{"TCP does not pass to host2", "open TCP port 8286 of $HOST2"}},
}, {
	{what: "a daemon that does not answer", do: "kill -STOP $PID", undo: "kill -CONT $PID", on: 2, name: "running", verdict: "broken", words: []string{"journalctl -u flanneld"}},
}}

// Each fault has its line in doctor, with what to type, and without a fault
// nothing is wrong. Two scenes share a lab.
func TestDoctorFindsEachFault(t *testing.T) {
	for pair := range slices.Chunk(scenes, 2) {
		t.Run(pair[0][0].what, func(t *testing.T) {
			t.Parallel()
			l, h1, h2 := duo(t)
			hosts := map[int]*lab.Host{1: h1, 2: h2}
			for _, h := range hosts {
				well(t, h, 10*time.Second)
				if d := doctor(t, h); !d.OK || !d.Running || len(d.bad()) > 0 {
					t.Fatalf("%s without a fault: %s\n%s", h.NodeName, d.Summary, strings.Join(d.bad(), "\n"))
				}
			}
			for _, scene := range pair {
				start := time.Now()
				play(t, l, hosts, scene)
				t.Logf("%s, and more: all was found after %v", scene[0].what, time.Since(start).Round(10*time.Millisecond))
			}
		})
	}
}

// play makes the faults of a scene, waits until doctor has found all, and
// undoes them.
func play(t *testing.T, l *lab.Lab, hosts map[int]*lab.Host, scene []fault) {
	t.Helper()
	h1, h2 := hosts[1], hosts[2]
	replace := strings.NewReplacer("$HOST1", h1.Addr.String(), "$HOST2", h2.Addr.String(), "$RUN", h2.RunDir, "$PID", fmt.Sprint(h2.Daemon.PID())).Replace
	var cuts []string
	for _, f := range scene {
		if f.cut != "" {
			cuts = append(cuts, replace(f.cut))
		} else {
			h2.Exec(t, "sh", "-c", replace(f.do))
		}
	}
	if len(cuts) > 0 {
		l.Drop(strings.Join(cuts, " drop\n"))
	}
	for on, h := range hosts {
		if !slices.ContainsFunc(scene, func(f fault) bool { return f.on == on }) {
			continue
		}
		lab.Eventually(t, 30*time.Second, fmt.Sprintf("doctor of %s to find all", h.NodeName), func() error {
			d := doctor(t, h)
			var all []error
			for _, f := range scene {
				words := make([]string, len(f.words))
				for i, word := range f.words {
					words[i] = replace(word)
				}
				if err := d.finds(f.name, f.verdict, words...); f.on == on && err != nil {
					all = append(all, fmt.Errorf("%s: %w", f.what, err))
				}
			}
			return errors.Join(all...)
		})
	}
	for _, f := range scene {
		if f.cut == "" {
			h2.Exec(t, "sh", "-c", replace(f.undo))
		}
	}
	l.Mend()
}
