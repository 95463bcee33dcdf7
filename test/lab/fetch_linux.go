// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Docker comes in two versions: the installed one (Debian's own), and the newer
// one of Debian's testing suite, unpacked into a folder and run from there.
// Both use the installed runc.
//
// If the newer one cannot be fetched, its tests fail, unless the operator sets
// this variable to "absent".
const (
	AbsentVariable = "FLANNELD_TEST_DOCKER28"
	testingDir     = "FLANNELD_LAB_DOCKER_TESTING"
	testingError   = "FLANNELD_LAB_DOCKER_TESTING_ERROR"
)

// keptFor is how long an unpacked Docker is used before it is fetched anew.
const keptFor = 7 * 24 * time.Hour

// FetchDocker gets Docker from Debian's testing suite unless it is there, and
// logs the version. It returns the variables that describe it to the inner run.
// A failure is no error here, but for the tests that need that Docker: see
// [DockerTesting].
func FetchDocker() ([]string, error) {
	if os.Getenv(AbsentVariable) == "absent" {
		fmt.Fprintf(os.Stderr, "lab: NOT TESTED with the Docker of Debian's testing suite: %s=absent\n", AbsentVariable)
		return nil, nil
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "docker-testing")
	info, err := os.Stat(filepath.Join(dir, "version"))
	if err != nil || time.Since(info.ModTime()) > keptFor {
		if fetchErr := fetchDockerInto(dir); fetchErr != nil && err != nil {
			text := strings.ReplaceAll(fetchErr.Error(), "\n", "; ")
			fmt.Fprintf(os.Stderr, "lab: Docker of Debian's testing suite is not available: %s\n", text)
			return []string{testingError + "=" + text}, nil
		}
	}
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "lab: Docker of Debian's testing suite: %s\n", strings.TrimSpace(string(version)))
	return []string{testingDir + "=" + filepath.Join(dir, "bin")}, nil
}

// fetchDockerInto makes dir afresh: bin/ with the programs, and version.
func fetchDockerInto(dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := errors.Join(os.Chmod(work, 0o755), os.Mkdir(filepath.Join(work, "bin"), 0o755)); err != nil {
		return err
	}
	if err := downloadPackages(work, "docker.io", "docker-cli", "containerd", "tini-static"); err != nil {
		return err
	}
	packages, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, file := range packages {
		if err := run(work, "dpkg-deb", "-x", file, "root"); err != nil {
			return err
		}
	}
	// Only these; the suite's runc is built for a newer C library.
	programs := []string{"sbin/dockerd", "sbin/docker-proxy", "bin/docker", "bin/containerd", "bin/containerd-shim-runc-v2", "bin/tini-static"}
	for _, program := range programs {
		name := strings.Replace(filepath.Base(program), "tini-static", "docker-init", 1)
		if err := os.Rename(filepath.Join(work, "root/usr", program), filepath.Join(work, "bin", name)); err != nil {
			return err
		}
	}
	version, err := exec.Command(filepath.Join(work, "bin/dockerd"), "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("dockerd --version: %w: %s", err, version)
	}
	if err := os.WriteFile(filepath.Join(work, "version"), version, 0o644); err != nil {
		return err
	}
	for _, rest := range append(packages, filepath.Join(work, "root"), filepath.Join(work, "apt")) {
		os.RemoveAll(rest)
	}
	return errors.Join(os.RemoveAll(dir), os.Rename(work, dir))
}

// downloadPackages fetches packages of Debian's testing suite into a directory.
func downloadPackages(work string, packages ...string) error {
	options, err := aptOptions(work, "testing")
	if err != nil {
		return err
	}
	return run(work, "apt-get", slices.Concat(options, []string{"-q", "download"}, packages)...)
}

// aptOptions are those of an apt with a state and sources of its own below
// work, which asks the mirror that this machine uses and knows one suite. It
// checks signatures as apt always does. A mirror may be frozen in time, so only
// the date of validity is let pass.
func aptOptions(work, suite string) ([]string, error) {
	mirror, err := DebianMirror()
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"apt/state/lists/partial", "apt/cache/archives/partial", "root"} {
		if err := os.MkdirAll(filepath.Join(work, sub), 0o755); err != nil {
			return nil, err
		}
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, suite)
	err = errors.Join(
		os.WriteFile(filepath.Join(work, "apt/sources.list"), []byte(source), 0o644),
		os.WriteFile(filepath.Join(work, "apt/state/status"), nil, 0o644))
	if err != nil {
		return nil, err
	}
	options := []string{
		"-o", "Dir::Etc::SourceList=" + filepath.Join(work, "apt/sources.list"),
		"-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::Etc::Preferences=/dev/null", "-o", "Dir::Etc::PreferencesParts=/dev/null",
		"-o", "Dir::State=" + filepath.Join(work, "apt/state"),
		"-o", "Dir::State::status=" + filepath.Join(work, "apt/state/status"),
		"-o", "Dir::Cache=" + filepath.Join(work, "apt/cache"),
		"-o", "APT::Update::Error-Mode=any", "-o", "APT::Default-Release=", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none",
		"-o", "Acquire::Check-Valid-Until=false", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::Retries=1",
	}
	return options, run(work, "apt-get", append(options, "-q", "update")...)
}

// DebianMirror returns where this machine gets its Debian packages from. apt
// lists a target for every suite and component. The one wanted is the main
// archive of the release that is installed, not its security updates.
func DebianMirror() (string, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	codename := ""
	for line := range strings.Lines(string(release)) {
		if value, ok := strings.CutPrefix(line, "VERSION_CODENAME="); ok {
			codename = strings.TrimSpace(value)
		}
	}
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(CODENAME) $(RELEASE) $(COMPONENT)").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its sources: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		field := strings.Fields(line)
		if codename != "" && len(field) >= 3 && field[len(field)-1] == "main" && field[len(field)-2] == codename {
			return field[0], nil
		}
	}
	return "", fmt.Errorf("no source of Debian %q in apt's configuration", codename)
}

// run runs a program in a directory; what it printed becomes part of the error.
func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out.String())
	}
	return nil
}
