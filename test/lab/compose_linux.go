// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The version of docker-compose that goes with a newer Docker is that of
// Debian's testing suite, which is a plugin of Docker's client.
const (
	composeProgram = "FLANNELD_LAB_COMPOSE"
	composeError   = "FLANNELD_LAB_COMPOSE_ERROR"
)

// FetchCompose gets docker-compose of Debian's testing suite unless it is
// there, and returns the variables that describe it to the inner run. A failure
// is no error here, but for the tests that need it.
func FetchCompose() ([]string, error) {
	return fetchKept("docker-compose-testing", composeProgram, composeError, fetchComposeInto)
}

func fetchComposeInto(program string) error {
	work, err := os.MkdirTemp(filepath.Dir(program), "fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := unpackPackages(work, "docker-compose"); err != nil {
		return err
	}
	plugin := filepath.Join(work, "root/usr/libexec/docker/cli-plugins/docker-compose")
	now := time.Now()
	return errors.Join(os.Chtimes(plugin, now, now), os.Rename(plugin, program))
}

// compose is the docker-compose that goes with the Docker: the installed one,
// or that of Debian's testing suite.
func (r DockerRelease) compose(t TB) string {
	t.Helper()
	if r.bin == "" {
		path, err := exec.LookPath("docker-compose")
		if err != nil {
			t.Fatalf("%v (make containers installs it)", err)
		}
		return path
	}
	path := os.Getenv(composeProgram)
	if path == "" {
		t.Fatalf("docker-compose of Debian's testing suite is not available: %s", os.Getenv(composeError))
	}
	return path
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
	cmd := exec.Command(d.release.compose(t), append([]string{"--project-name", project, "--file", path}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Socket(), "HOME="+dir)
	r := d.host.RunCommand(t, cmd)
	if r.Status != 0 {
		t.Fatalf("%s: docker-compose %s: exit status %d\n%s%s\n%s", d.host.NodeName, strings.Join(args, " "), r.Status, r.Stdout, r.Stderr, d.Log())
	}
	return r.Stdout + r.Stderr
}

// ComposeVersion is what docker-compose says that it is.
func (d *Docker) ComposeVersion() string {
	d.host.lab.t.Helper()
	out, err := exec.Command(d.release.compose(d.host.lab.t), "version").CombinedOutput()
	if err != nil {
		d.host.lab.t.Fatalf("docker-compose version: %v: %s", err, out)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

// ComposeContainer returns the ID of the container of a service.
func (d *Docker) ComposeContainer(project, service string) string {
	d.host.lab.t.Helper()
	return d.Docker("ps", "--quiet", "--no-trunc", "--filter", fmt.Sprintf("label=com.docker.compose.project=%s", project),
		"--filter", fmt.Sprintf("label=com.docker.compose.service=%s", service))
}
