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
)

// nerdctl is not in Debian 12. It is built from its module, in a module of its
// own, because it replaces nothing and depends on some 150 others.
const (
	nerdctlVersion  = "v1.7.7"
	nerdctlVariable = "FLANNELD_LAB_NERDCTL"
	nerdctlError    = "FLANNELD_LAB_NERDCTL_ERROR"
)

// FetchNerdctl builds nerdctl unless it is there, and returns the variables
// that describe it to the inner run. A failure is no error here, but for the
// tests that need it.
func FetchNerdctl() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(cache, "nerdctl", nerdctlVersion, "nerdctl")
	if !fileExists(program) {
		if err := buildNerdctl(program); err != nil {
			return []string{nerdctlError + "=" + strings.Join(strings.Fields(err.Error()), " ")}, nil
		}
	}
	return []string{nerdctlVariable + "=" + program}, nil
}

func buildNerdctl(program string) error {
	work, err := os.MkdirTemp("", "nerdctl-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	module := "module nerdctl\n\ngo 1.22\n\nrequire github.com/containerd/nerdctl " + nerdctlVersion + "\n"
	err = errors.Join(os.WriteFile(filepath.Join(work, "go.mod"), []byte(module), 0o644), os.MkdirAll(filepath.Dir(program), 0o755))
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-mod=mod", "-trimpath", "-o", program, "github.com/containerd/nerdctl/cmd/nerdctl")
	cmd.Dir, cmd.Env = work, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build nerdctl: %w: %s", err, out)
	}
	return nil
}

// Nerdctl runs a nerdctl command on the host's containerd, which has to
// succeed. Its network configurations and plugins are those of ctr.
func (c *Containerd) Nerdctl(args ...string) string {
	t := c.host.lab.t
	t.Helper()
	r := c.TryNerdctl(args...)
	if r.Status != 0 {
		t.Fatalf("%s: nerdctl %s: exit status %d: %s%s", c.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// TryNerdctl is [Containerd.Nerdctl] for a command that may fail.
func (c *Containerd) TryNerdctl(args ...string) Result {
	c.host.lab.t.Helper()
	return c.host.RunCommand(c.host.lab.t, c.nerdctl(args...))
}

func (c *Containerd) nerdctl(args ...string) *exec.Cmd {
	program := os.Getenv(nerdctlVariable)
	if program == "" {
		c.host.lab.t.Fatalf("nerdctl could not be built: %s", os.Getenv(nerdctlError))
	}
	options := []string{"--address", c.path("sock"), "--snapshotter", "native", "--cgroup-manager", "cgroupfs", "--data-root", c.path("nerdctl"),
		"--cni-netconfpath", c.path("etc/net.d"), "--cni-path", c.path("bin")}
	return exec.Command(program, append(options, args...)...)
}

// RunNerdctl starts a container that sleeps; args are further options of
// `nerdctl run`. A name that could begin an ID (a hexadecimal number) would be
// ambiguous.
func (c *Containerd) RunNerdctl(name string, args ...string) *Pod {
	t := c.host.lab.t
	t.Helper()
	root := c.path("rootfs-" + name)
	if err := BusyboxRoot(root); err != nil {
		t.Fatalf("make the files of container %s: %v", name, err)
	}
	options := append([]string{"run", "--detach", "--name", name, "--cgroup-parent", "/" + os.Getenv(cgroupVariable)}, args...)
	c.Nerdctl(append(options, "--rootfs", root, "/bin/sleep", "1000000")...)
	t.Cleanup(func() { c.host.RunCommand(t, c.nerdctl("rm", "--force", name)) })
	p := &Pod{Host: c.host}
	pid := c.Nerdctl("inspect", "--format", "{{.State.Pid}}", name)
	p.Namespace = OpenNamespace(t, c.host.lab.name("nerdctl-"+name), "/proc/"+pid+"/ns/net")
	for line := range strings.Lines(p.Exec(t, "ip", "-o", "-4", "address", "show", "dev", "eth0")) {
		prefix, err := netip.ParsePrefix(strings.Fields(line)[3])
		if err != nil {
			t.Fatalf("address of container %s: %v", name, err)
		}
		p.Addr = prefix.Addr()
	}
	return p
}
