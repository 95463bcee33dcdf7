// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Two versions of podman: the one of Debian 12, which can use CNI, and a newer
// one with netavark and nftables.
var (
	PodmanWithCNI = Tree{Name: "podman4", Suite: "bookworm",
		Packages: []string{"podman", "runc", "containernetworking-plugins", "iptables"}}
	PodmanWithNetavark = Tree{Name: "podman5", Suite: "testing",
		Packages: []string{"podman", "netavark", "aardvark-dns", "runc", "nftables", "iptables"}}
)

// Podman is podman on one host, with storage, networks and settings of its own.
type Podman struct {
	host     *Host
	tree     Tree
	dir      string
	Networks string // folder of network files
	options  []string
	config   string
}

// Podman prepares podman on a host. Settings are a containers.conf.
func (h *Host) Podman(tree Tree, backend, settings string) *Podman {
	h.lab.t.Helper()
	t := h.lab.t
	tree.Enter(t)
	p := &Podman{host: h, tree: tree, dir: filepath.Join(h.lab.dir, h.NodeName, "podman")}
	p.Networks, p.config = filepath.Join(p.dir, "networks"), filepath.Join(p.dir, "containers.conf")
	if err := os.MkdirAll(p.Networks, 0o755); err != nil {
		t.Fatalf("prepare podman: %v", err)
	}
	if err := os.WriteFile(p.config, []byte(settings), 0o644); err != nil {
		t.Fatalf("prepare podman: %v", err)
	}
	p.options = []string{"--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "none", "--runtime", "runc",
		"--root", filepath.Join(p.dir, "root"), "--runroot", filepath.Join(p.dir, "run"), "--tmpdir", filepath.Join(p.dir, "tmp"),
		"--network-backend", backend, "--network-config-dir", p.Networks}
	t.Logf("%s: %s", h.NodeName, strings.TrimSpace(p.Podman("--version")))
	return p
}

// Command is a podman command.
func (p *Podman) Command(args ...string) *exec.Cmd {
	cmd := p.tree.Command("podman", append(append([]string{}, p.options...), args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+p.config, "PODMAN_IGNORE_CGROUPSV1_WARNING=1")
	return cmd
}

// Podman runs a podman command that has to succeed.
func (p *Podman) Podman(args ...string) string {
	p.host.lab.t.Helper()
	r := p.host.RunCommand(p.host.lab.t, p.Command(args...))
	if r.Status != 0 {
		p.host.lab.t.Fatalf("%s: podman %s: exit status %d: %s%s", p.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// Run starts a container that sleeps; args are further options of `podman run`.
// It is a Pod whose namespace can be used as any.
func (p *Podman) Run(name string, args ...string) *Pod {
	t := p.host.lab.t
	t.Helper()
	options := append([]string{"run", "--detach", "--name", name, "--cgroup-parent", "/" + os.Getenv(cgroupVariable)}, args...)
	id := p.Podman(append(options, "--rootfs", p.rootfs(name), "/bin/sleep", "1000000")...)
	t.Cleanup(func() { p.host.RunCommand(t, p.Command("rm", "--force", "--time", "0", name)) })
	var inspected []struct {
		State           struct{ Pid int }
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	if err := json.Unmarshal([]byte(p.Podman("inspect", id)), &inspected); err != nil || len(inspected) != 1 {
		t.Fatalf("podman inspect: %v", err)
	}
	pod := &Pod{Host: p.host}
	for _, network := range inspected[0].NetworkSettings.Networks {
		pod.Addr, _ = netip.ParseAddr(network.IPAddress)
	}
	pod.Namespace = OpenNamespace(t, p.host.lab.name("podman-"+name), fmt.Sprintf("/proc/%d/ns/net", inspected[0].State.Pid))
	return pod
}

// rootfs makes a container's files: busybox.
func (p *Podman) rootfs(name string) string {
	t := p.host.lab.t
	t.Helper()
	root := filepath.Join(p.dir, "rootfs-"+name)
	if err := BusyboxRoot(root); err != nil {
		t.Fatalf("make the files of container %s: %v", name, err)
	}
	return root
}

// BusyboxRoot makes a root file system of nothing but busybox.
func BusyboxRoot(root string) error {
	for _, name := range []string{"bin", "proc", "sys", "dev", "etc", "tmp", "run"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w (make deps installs busybox-static)", err)
	}
	if err := copyFile(busybox, filepath.Join(root, "bin/busybox")); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "sleep", "ip", "ping", "wget", "nc", "nslookup", "cat"} {
		os.Symlink("busybox", filepath.Join(root, "bin", applet))
	}
	return nil
}
