// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// Host is a machine that runs flanneld.
type Host struct {
	*Namespace
	lab      *Lab
	Number   int        // from 1
	NodeName string     // host1, host2, ...
	Addr     netip.Addr // on the underlay
	StateDir string
	RunDir   string
	Daemon   *Daemon // the one started last, nil before that
	pods     int
	attached int // by CNI
}

func (l *Lab) newHost() *Host {
	l.t.Helper()
	n := len(l.hosts) + 1
	name := fmt.Sprintf("host%d", n)
	h := &Host{
		Namespace: NewNamespace(l.t, l.name(name)),
		lab:       l,
		Number:    n,
		NodeName:  name,
		StateDir:  filepath.Join(l.dir, name, "state"),
		RunDir:    filepath.Join(l.dir, name, "run"),
	}
	// Run first: it makes the directory above them both, accessible to all
	// users.
	if err := errors.Join(os.MkdirAll(h.RunDir, 0o755), os.Mkdir(h.StateDir, 0o700)); err != nil {
		l.t.Fatalf("make directories of %s: %v", name, err)
	}
	l.hosts = append(l.hosts, h)
	return h
}

// Command makes a flanneld command of this host: flags that say which run
// directory is meant go into the environment, as a service manager has it.
func (h *Host) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.lab.Binary, args...)
	cmd.Env = append(cleanEnvironment(), "FLANNELD_RUN_DIR="+h.RunDir, "FLANNELD_STATE_DIR="+h.StateDir)
	return cmd
}

// Flanneld runs a flanneld command to its end.
func (h *Host) Flanneld(args ...string) Result {
	h.lab.t.Helper()
	return h.RunCommand(h.lab.t, h.Command(args...))
}

// MustFlanneld runs a flanneld command that has to succeed, and returns what
// it printed.
func (h *Host) MustFlanneld(args ...string) string {
	h.lab.t.Helper()
	r := h.Flanneld(args...)
	if r.Status != 0 {
		h.lab.t.Fatalf("%s: flanneld %s: exit status %d\n%s%s", h.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// cleanEnvironment is the program's own without settings meant for flanneld.
func cleanEnvironment() []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "FLANNELD_") && !strings.HasPrefix(pair, "NOTIFY_SOCKET=") {
			env = append(env, pair)
		}
	}
	return env
}

// SubnetFile returns what subnet.env says, by key; nil when there is no file.
func (h *Host) SubnetFile() map[string]string {
	data, err := os.ReadFile(filepath.Join(h.RunDir, "subnet.env"))
	if err != nil {
		return nil
	}
	values := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	return values
}

// DockerOptions returns what the docker file has as DOCKER_OPTS.
func (h *Host) DockerOptions() string {
	h.lab.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.RunDir, "docker"))
	if err != nil {
		h.lab.t.Fatalf("%s: %v", h.NodeName, err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "DOCKER_OPTS="); ok {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	h.lab.t.Fatalf("%s: no DOCKER_OPTS in %q", h.NodeName, data)
	return ""
}

// Lease returns the subnet that subnet.env names; the test fails without it.
func (h *Host) Lease() netip.Prefix {
	h.lab.t.Helper()
	prefix, err := netip.ParsePrefix(h.SubnetFile()["FLANNEL_SUBNET"])
	if err != nil {
		h.lab.t.Fatalf("%s: no lease in subnet.env: %v", h.NodeName, err)
	}
	return prefix.Masked()
}

// Bridge makes the host's docker0, as dockerd would from the docker file, and
// returns the address on it. It may be called again.
func (h *Host) Bridge() netip.Prefix {
	h.lab.t.Helper()
	t := h.lab.t
	file := h.SubnetFile()
	subnet, err := netip.ParsePrefix(file["FLANNEL_SUBNET"])
	if err != nil {
		t.Fatalf("%s: no FLANNEL_SUBNET in subnet.env: %v", h.NodeName, err)
	}
	if h.Do(func() error { _, err := netlink.LinkByName("docker0"); return err }) != nil {
		h.IP(t, "link add docker0 type bridge forward_delay 0", "link set docker0 mtu "+file["FLANNEL_MTU"],
			"address add "+subnet.String()+" dev docker0", "link set docker0 up")
	}
	return subnet
}

// Pod is a container without a runtime: a namespace on the host's docker0.
type Pod struct {
	*Namespace
	Addr netip.Addr
	Host *Host
}

// Pod adds a pod to the host; the first gets LEASE.2. flanneld must be ready.
func (h *Host) Pod() *Pod {
	h.lab.t.Helper()
	t := h.lab.t
	bridge := h.Bridge()
	h.pods++
	p := &Pod{Host: h, Addr: bridge.Addr()}
	for range h.pods {
		p.Addr = p.Addr.Next()
	}
	p.Namespace = NewNamespace(t, h.lab.name(fmt.Sprintf("pod%d.%d", h.Number, h.pods)))
	mtu := h.SubnetFile()["FLANNEL_MTU"]
	port := fmt.Sprintf("pod%d", h.pods)
	h.IP(t, veth(port, p.Namespace, "eth0", mtu), "link set "+port+" master docker0 up")
	p.IP(t, "link set eth0 up", fmt.Sprintf("address add %v/%d dev eth0", p.Addr, bridge.Bits()), "route add default via "+bridge.Addr().String())
	// The kernel lets a new port into service up to a second later.
	p.Reachable(t, bridge.Addr(), 10*time.Second)
	return p
}

// LeakCounter counts packets that leave through the underlay device
// unencapsulated, with an overlay address outside. They should have gone into
// flannel0.
type LeakCounter struct{ host *Host }

// CountLeaks installs the counter, in a table that no other program uses.
func (h *Host) CountLeaks(network netip.Prefix) LeakCounter {
	h.lab.t.Helper()
	rules := fmt.Sprintf(`table ip lab {
		chain leaks {
			type filter hook postrouting priority 300
			oifname "eth0" ip daddr %s counter
		}
	}`, network)
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if r := h.RunCommand(h.lab.t, cmd); r.Status != 0 {
		h.lab.t.Fatalf("%s: install leak counter: %s", h.NodeName, r.Stderr)
	}
	return LeakCounter{h}
}

// Packets returns how many leaked so far.
func (c LeakCounter) Packets() int {
	c.host.lab.t.Helper()
	out := c.host.Exec(c.host.lab.t, "nft", "list", "chain", "ip", "lab", "leaks")
	var packets int
	_, after, found := strings.Cut(out, "counter packets ")
	if _, err := fmt.Sscan(after, &packets); !found || err != nil {
		c.host.lab.t.Fatalf("%s: no counter in %q", c.host.NodeName, out)
	}
	return packets
}

// WaitConverged waits until every host's daemon lists n live nodes, all with
// the same subnets.
func (l *Lab) WaitConverged(n int) {
	l.t.Helper()
	Eventually(l.t, 30*time.Second, fmt.Sprintf("%d nodes in every table", n), func() error {
		var first string
		for _, h := range l.hosts {
			if h.Daemon == nil || h.Daemon.Ended() {
				continue
			}
			nodes, err := h.Nodes()
			if err != nil {
				return err
			}
			table, alive := nodes.Summary()
			if alive != n {
				return fmt.Errorf("%s sees %d live nodes: %s", h.NodeName, alive, table)
			}
			if first == "" {
				first = table
			} else if table != first {
				return fmt.Errorf("%s has %s, another %s", h.NodeName, table, first)
			}
		}
		return nil
	})
}
