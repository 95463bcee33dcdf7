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

// DockerConfig is the daemon.json of the host's dockerd, which need not exist.
func (h *Host) DockerConfig() string {
	return filepath.Join(h.lab.dir, fmt.Sprintf("daemon%d.json", h.Number))
}

// Socket is where dockerd listens, as DOCKER_HOST has it.
func (d *Docker) Socket() string { return "unix://" + d.path("sock") }

// Log returns the last lines that dockerd has logged.
func (d *Docker) Log() string { return d.log.Tail(20) }

// Try runs a docker command, whatever its exit status.
func (d *Docker) Try(args ...string) Result {
	d.host.lab.t.Helper()
	return d.docker(args...)
}

// Flanneld runs a flanneld command of this host that asks this Docker.
func (d *Docker) Flanneld(args ...string) Result {
	d.host.lab.t.Helper()
	cmd := d.host.Command(args...)
	cmd.Env = append(cmd.Env, "DOCKER_HOST="+d.Socket())
	return d.host.RunCommand(d.host.lab.t, cmd)
}

// MustFlanneld is Flanneld for a command that has to succeed. It returns what
// the command printed.
func (d *Docker) MustFlanneld(args ...string) string {
	t := d.host.lab.t
	t.Helper()
	r := d.Flanneld(args...)
	if r.Status != 0 {
		t.Fatalf("%s: flanneld %s: exit status %d\n%s%s\n%s", d.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr, d.Log())
	}
	return r.Stdout
}

// ContainerOn starts a container that sleeps on a network of Docker; args are
// further options of `docker run`.
func (d *Docker) ContainerOn(network string, args ...string) *Container {
	t := d.host.lab.t
	t.Helper()
	all := append([]string{"run", "--detach", "--rm", "--stop-signal", "KILL", "--network", network}, args...)
	return d.Open(d.Docker(append(all, "lab", "/bin/sleep", "100000")...), network)
}

// Open steps into a container that runs, by its name or ID. It has an address
// on that network.
func (d *Docker) Open(id, network string) *Container {
	t := d.host.lab.t
	t.Helper()
	c := &Container{docker: d, ID: id}
	var inspected []struct {
		ID              string `json:"Id"`
		State           struct{ Pid int }
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	if err := json.Unmarshal([]byte(d.Docker("inspect", c.ID)), &inspected); err != nil || len(inspected) != 1 {
		t.Fatalf("docker inspect: %v", err)
	}
	c.ID = inspected[0].ID
	address := inspected[0].NetworkSettings.Networks[network].IPAddress
	var err error
	if c.Addr, err = netip.ParseAddr(address); err != nil {
		t.Fatalf("docker inspect: no address on %s: %v", network, err)
	}
	c.Namespace = OpenNamespace(t, d.host.lab.name("container"+c.ID[:6]), fmt.Sprintf("/proc/%d/ns/net", inspected[0].State.Pid))
	return c
}

// Compose runs docker-compose for a project, whose file is made of that text.
// It returns what it printed, and has to succeed.
func (d *Docker) Compose(project, file string, args ...string) string {
	t := d.host.lab.t
	t.Helper()
	dir := d.path("compose-" + project)
	path := filepath.Join(dir, "docker-compose.yml")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("make the project's directory: %v", err)
	}
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatalf("write the project: %v", err)
	}
	cmd := exec.Command("docker-compose", append([]string{"--project-name", project, "--file", path}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Socket(), "HOME="+dir)
	r := d.host.RunCommand(t, cmd)
	if r.Status != 0 {
		t.Fatalf("%s: docker-compose %s: exit status %d\n%s%s\n%s", d.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr, d.Log())
	}
	return r.Stdout + r.Stderr
}

// ComposeContainer returns the ID of the container of a service.
func (d *Docker) ComposeContainer(project, service string) string {
	d.host.lab.t.Helper()
	return d.Docker("ps", "--quiet", "--no-trunc", "--filter", "label=com.docker.compose.project="+project, "--filter", "label=com.docker.compose.service="+service)
}
