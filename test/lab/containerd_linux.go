// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Containerd is containerd on one host, which takes containers by ctr.
type Containerd struct {
	host *Host
	dir  string
	log  logBuffer
}

// StartContainerd starts containerd. A network configuration list is what ctr
// finds in /etc/cni/net.d; the plugins that it finds in /opt/cni/bin are
// Debian's and the flanneld under test.
func (h *Host) StartContainerd(list string) *Containerd {
	h.lab.t.Helper()
	t := h.lab.t
	c := &Containerd{host: h, dir: filepath.Join(h.lab.dir, h.NodeName, "containerd")}
	for _, name := range []string{"etc/net.d", "bin"} {
		if err := os.MkdirAll(c.path(name), 0o755); err != nil {
			t.Fatalf("make containerd's folders: %v", err)
		}
	}
	if err := os.WriteFile(c.path("etc/net.d/10-flanneld.conflist"), []byte(h.NetworkList(list)), 0o644); err != nil {
		t.Fatalf("write network configuration: %v", err)
	}
	for _, folder := range []string{DebianCNI, h.PluginFolder()} {
		programs, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, program := range programs {
			if err := os.Symlink(program, c.path("bin/"+filepath.Base(program))); err != nil {
				t.Fatalf("link plugin: %v", err)
			}
		}
	}
	cmd := exec.Command("containerd", "--root", c.path("root"), "--state", c.path("state"), "--address", c.path("sock"))
	cmd.Stdout, cmd.Stderr = &c.log, &c.log
	if err := h.Namespace.Start(cmd); err != nil {
		t.Fatalf("%s: start containerd: %v", h.NodeName, err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(unix.SIGTERM)
		<-ended
	})
	Eventually(t, 20*time.Second, "containerd's socket", func() error {
		return Expect(c.command("version").Run() == nil, "%s", c.log.Tail(5))
	})
	return c
}

func (c *Containerd) path(name string) string { return filepath.Join(c.dir, name) }

// command is a ctr command. It sees its network configuration and plugins where
// ctr looks for them, which cannot be changed.
func (c *Containerd) command(args ...string) *exec.Cmd {
	script := `mkdir -p /etc/cni && mount -t tmpfs tmpfs /opt && mkdir -p /opt/cni/bin && mount --bind "$1/bin" /opt/cni/bin && mount --bind "$1/etc" /etc/cni && ` +
		`dir=$1 && shift && exec ctr --address "$dir/sock" "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", c.dir}, args...)...)
}

// Ctr runs a ctr command that has to succeed.
func (c *Containerd) Ctr(args ...string) string {
	t := c.host.lab.t
	t.Helper()
	r := c.host.RunCommand(t, c.command(args...))
	if r.Status != 0 {
		t.Fatalf("%s: ctr %s: exit status %d: %s%s\n%s", c.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr, c.log.Tail(10))
	}
	return r.Stdout
}

// Run starts a container that sleeps, with `ctr run --cni`. The function that
// it returns ends the container, and waits until ctr has removed all.
func (c *Containerd) Run(name string) (*Pod, func()) {
	t := c.host.lab.t
	t.Helper()
	root := c.path("rootfs-" + name)
	if err := BusyboxRoot(root); err != nil {
		t.Fatalf("make the files of container %s: %v", name, err)
	}
	cmd := c.command("run", "--rm", "--cni", "--cgroup", "/"+os.Getenv(cgroupVariable)+"/"+name, "--rootfs", root, name, "/bin/sleep", "1000000")
	var log logBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := c.host.Namespace.Start(cmd); err != nil {
		t.Fatalf("%s: start ctr: %v", c.host.NodeName, err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	end := func() {
		c.host.RunCommand(t, c.command("task", "kill", "--signal", "SIGKILL", name))
		<-ended
	}
	p := &Pod{Host: c.host}
	Eventually(t, 20*time.Second, "container "+name, func() error {
		for line := range strings.Lines(c.Ctr("task", "list")) {
			if field := strings.Fields(line); len(field) >= 2 && field[0] == name {
				if p.Namespace == nil {
					p.Namespace = OpenNamespace(t, c.host.lab.name("ctr-"+name), fmt.Sprintf("/proc/%s/ns/net", field[1]))
				}
			}
		}
		if p.Namespace == nil {
			return fmt.Errorf("no task: %s", log.Tail(5))
		}
		for line := range strings.Lines(p.Run(t, "ip", "-o", "-4", "address", "show", "dev", "eth0").Stdout) {
			prefix, err := netip.ParsePrefix(strings.Fields(line)[3])
			p.Addr = prefix.Addr()
			return err
		}
		return fmt.Errorf("no address: %s", log.Tail(5))
	})
	t.Cleanup(func() {
		select {
		case <-ended:
		default:
			end()
		}
	})
	return p, end
}
