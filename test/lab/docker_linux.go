// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DockerRelease is a version of Docker to run: the installed one, or one that
// was unpacked into a directory.
type DockerRelease struct {
	Name    string
	Options []string // of dockerd, beside $DOCKER_OPTS
	bin     string   // comes first in PATH; empty for the installed one
}

// DockerInstalled is the machine's own Docker; the test fails where there is
// none.
func DockerInstalled(t TB) DockerRelease {
	t.Helper()
	r := DockerRelease{Name: "installed"}
	r.version(t)
	return r
}

// DockerTesting is the Docker of Debian's testing suite. Where it could not be
// fetched the test fails, unless [AbsentVariable] says "absent": then ok is
// false, and the log says that this was not tested.
func DockerTesting(t TB) (r DockerRelease, ok bool) {
	t.Helper()
	if os.Getenv(AbsentVariable) == "absent" {
		t.Logf("NOT TESTED: %s=absent says that Docker 28 is not available", AbsentVariable)
		return r, false
	}
	r = DockerRelease{Name: "testing", bin: os.Getenv(testingDir)}
	if r.bin == "" {
		t.Fatalf("Docker of Debian's testing suite is not available (set %s=absent to run without it): %s",
			AbsentVariable, os.Getenv(testingError))
	}
	r.version(t)
	return r, true
}

// dockerd29 names a folder with dockerd and runc for Docker 29.
const dockerd29 = "FLANNELD_TEST_DOCKER29"

// DockerNFTables is Docker 29, which no suite of Debian has, with its nftables
// backend, and told to accept the mark of package identity. `make docker29`
// builds its dockerd and runc; the rest is that of [DockerTesting].
func DockerNFTables(t TB) DockerRelease {
	t.Helper()
	built, rest := os.Getenv(dockerd29), os.Getenv(testingDir)
	if built == "" || rest == "" {
		t.Fatalf("Docker 29 is not there: run `make docker29`, which sets %s; %s", dockerd29, os.Getenv(testingError))
	}
	r := DockerRelease{Name: "29 with nftables", bin: filepath.Join(Root, "docker29"), Options: []string{
		"--firewall-backend=nftables", "--allow-direct-routing", "--bridge-accept-fwmark=0x10000000/0x10000000",
		"--seccomp-profile=unconfined", // its runc is built without
	}}
	if err := os.MkdirAll(r.bin, 0o755); err != nil {
		t.Fatalf("make the folder of Docker 29: %v", err)
	}
	for _, folder := range []string{built, rest} {
		programs, _ := filepath.Glob(filepath.Join(folder, "*"))
		for _, program := range programs {
			if err := os.Symlink(program, filepath.Join(r.bin, filepath.Base(program))); err != nil && !os.IsExist(err) {
				t.Fatalf("gather the programs of Docker 29: %v", err)
			}
		}
	}
	r.version(t)
	return r
}

// version logs which Docker is tested.
func (r DockerRelease) version(t TB) {
	t.Helper()
	for _, program := range []string{"dockerd", "containerd", "runc"} {
		cmd := r.command(program, "--version")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s Docker: %s --version: %v: %s (make deps installs Docker)", r.Name, program, err, out)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		t.Logf("%s Docker: %s", r.Name, line)
	}
}

func (r DockerRelease) command(program string, args ...string) *exec.Cmd {
	path := program
	env := os.Environ()
	if r.bin != "" {
		env = append(env, "PATH="+r.bin+":"+os.Getenv("PATH"))
		if own := filepath.Join(r.bin, program); fileExists(own) {
			path = own
		}
	} else if program == "docker" && fileExists("/usr/bin/docker") {
		path = "/usr/bin/docker" // the package's, not a newer client in /usr/local
	}
	cmd := exec.Command(path, args...)
	cmd.Env = env
	return cmd
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Docker is a dockerd, with a containerd of its own, on a host.
type Docker struct {
	host    *Host
	release DockerRelease
	dir     string
	config  string // daemon.json
	daemon  *exec.Cmd
	ended   chan struct{}
	log     logBuffer
}

// StartDocker starts dockerd with $DOCKER_OPTS from the host's docker file, as
// the drop-in for docker.service does, and imports the image "lab" (busybox).
func (h *Host) StartDocker(release DockerRelease) *Docker {
	h.lab.t.Helper()
	t := h.lab.t
	d := &Docker{host: h, release: release, dir: filepath.Join(h.lab.dir, fmt.Sprintf("docker%d", h.Number))}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		t.Fatalf("make dockerd's directory: %v", err)
	}
	d.config = h.DockerConfig()
	containerd := release.command("containerd", "--root", d.path("containerd"), "--state", d.path("containerd-state"), "--address", d.path("containerd.sock"))
	containerd.Stdout, containerd.Stderr = &d.log, &d.log
	if err := h.Namespace.Start(containerd); err != nil {
		t.Fatalf("%s: start containerd: %v", h.NodeName, err)
	}
	gone := make(chan struct{})
	go func() { containerd.Wait(); close(gone) }()
	t.Cleanup(func() { d.end(containerd, gone) })
	Eventually(t, 20*time.Second, "containerd's socket", func() error {
		return Expect(fileExists(d.path("containerd.sock")), "%s", d.log.Tail(5))
	})
	d.Start()
	d.importImage()
	return d
}

func (d *Docker) path(name string) string { return filepath.Join(d.dir, name) }

// Start starts dockerd and waits until it answers.
func (d *Docker) Start() {
	t := d.host.lab.t
	t.Helper()
	// The shell reads the file the way the documentation tells people to.
	script := `. "$1"; shift; exec dockerd "$@" $DOCKER_OPTS`
	args := []string{"-c", script, "sh", filepath.Join(d.host.RunDir, "docker"),
		"--data-root", d.path("data"), "--exec-root", d.path("exec"), "--pidfile", d.path("pid"),
		"--host", "unix://" + d.path("sock"), "--containerd", d.path("containerd.sock"),
		"--cgroup-parent", "/" + Cgroup(), "--exec-opt", "native.cgroupdriver=cgroupfs"}
	if fileExists(d.config) {
		args = append(args, "--config-file", d.config)
	}
	cmd := d.release.command("sh", append(args, d.release.Options...)...)
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	if err := d.host.Namespace.Start(cmd); err != nil {
		t.Fatalf("%s: start dockerd: %v", d.host.NodeName, err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	d.daemon, d.ended = cmd, ended
	t.Cleanup(func() { d.end(cmd, ended) })
	err := Within(60*time.Second, func() error {
		select {
		case <-ended:
			t.Fatalf("%s: dockerd ended:\n%s", d.host.NodeName, d.log.Tail(15))
		default:
		}
		r := d.docker("version", "--format", "{{.Server.Version}}")
		return Expect(r.Status == 0, "%s", r.Stderr)
	})
	if err != nil {
		t.Fatalf("%s: dockerd does not answer: %v\n%s", d.host.NodeName, err, d.log.Tail(15))
	}
}

// Stop stops dockerd in order; its containers stop with it.
func (d *Docker) Stop() { d.end(d.daemon, d.ended) }

// end asks a process to stop, and kills it when it has not within 15 s.
func (d *Docker) end(cmd *exec.Cmd, ended <-chan struct{}) {
	cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		cmd.Process.Kill()
		<-ended
	}
}

func (d *Docker) docker(args ...string) Result {
	cmd := d.release.command("docker", append([]string{"--host", "unix://" + d.path("sock")}, args...)...)
	return d.host.RunCommand(d.host.lab.t, cmd)
}

// Docker runs a docker command that has to succeed.
func (d *Docker) Docker(args ...string) string {
	d.host.lab.t.Helper()
	r := d.docker(args...)
	if r.Status != 0 {
		d.host.lab.t.Fatalf("%s: docker %s: exit status %d: %s%s\n%s", d.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr, d.log.Tail(10))
	}
	return strings.TrimSpace(r.Stdout)
}

// importImage makes an image of nothing but busybox: there is no registry here.
func (d *Docker) importImage() {
	t := d.host.lab.t
	t.Helper()
	root := d.path("rootfs")
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		t.Fatalf("make the image: %v", err)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("make the image: %v (make deps installs busybox-static)", err)
	}
	if err := copyFile(busybox, filepath.Join(root, "bin/busybox")); err != nil {
		t.Fatalf("make the image: %v", err)
	}
	for _, applet := range []string{"sh", "ping", "ip", "nc", "wget", "httpd", "sleep", "cat", "sha256sum", "dd", "head", "echo", "mkdir"} {
		os.Symlink("busybox", filepath.Join(root, "bin", applet))
	}
	tar := exec.Command("tar", "-C", root, "-c", ".")
	pipe, err := tar.StdoutPipe()
	if err != nil {
		t.Fatalf("make the image: %v", err)
	}
	load := d.release.command("docker", "--host", "unix://"+d.path("sock"), "import", "-", "lab")
	load.Stdin = pipe
	if err := tar.Start(); err != nil {
		t.Fatalf("make the image: %v", err)
	}
	r := d.host.RunCommand(t, load)
	if err := tar.Wait(); err != nil || r.Status != 0 {
		t.Fatalf("%s: docker import: %v %s", d.host.NodeName, err, r.Stderr)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// Container is a running Docker container. Its namespace can be used as any.
type Container struct {
	*Namespace
	Addr   netip.Addr
	ID     string
	docker *Docker
}

// Container starts a container that sleeps, on docker0; args are further
// options of `docker run`, such as --publish.
func (d *Docker) Container(args ...string) *Container {
	d.host.lab.t.Helper()
	return d.ContainerOn("bridge", args...)
}

// Inside runs a command in the container through docker exec.
func (c *Container) Inside(args ...string) string {
	c.docker.host.lab.t.Helper()
	return c.docker.Docker(append([]string{"exec", c.ID}, args...)...)
}
