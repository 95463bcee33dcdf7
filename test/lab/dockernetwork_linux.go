// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
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
