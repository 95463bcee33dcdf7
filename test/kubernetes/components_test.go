// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"flanneld/test/lab"
)

// programsVariable tells the inner run where the components are. Where it is
// set before, the programs of that directory are taken, and none are built.
const programsVariable = "FLANNELD_KUBERNETES_PROGRAMS"

// commands are the directories of the module in components.
var commands = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}

// program is the path of a component, or of etcd.
func program(name string) string { return filepath.Join(os.Getenv(programsVariable), name) }

// prepareComponents builds Kubernetes and unpacks Debian's etcd, unless the
// cache has them, and returns the variable that names their directory.
func prepareComponents() ([]string, error) {
	if os.Getenv(programsVariable) != "" {
		return nil, nil
	}
	cache, err := lab.CacheDir()
	if err != nil {
		return nil, err
	}
	key, release, err := componentsKey()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "kubernetes", key)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeComponents(dir, release); err != nil {
			return nil, err
		}
	}
	return []string{programsVariable + "=" + dir}, nil
}

// componentsKey names what is built, by its release and all that goes into it.
func componentsKey() (key, release string, err error) {
	sum := sha256.New()
	files := []string{"components/go.mod", "components/go.sum"}
	for _, command := range commands {
		files = append(files, filepath.Join("components", command, "main.go"))
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", "", err
		}
		sum.Write(data)
		for line := range strings.Lines(string(data)) {
			if field := strings.Fields(line); release == "" && len(field) > 1 && field[0] == "k8s.io/kubernetes" {
				release = field[1]
			}
		}
	}
	return fmt.Sprintf("%s-%s-%x", release, runtime.Version(), sum.Sum(nil)[:4]), release, nil
}

// makeComponents fills dir, which comes into being whole or not at all.
func makeComponents(dir, release string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "make-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	if err := unpackEtcd(work); err != nil {
		return err
	}
	fmt.Printf("building Kubernetes %s, once: it takes minutes\n", release)
	part := strings.SplitN(strings.TrimPrefix(release, "v"), ".", 3)
	const version = "-X k8s.io/component-base/version."
	flags := fmt.Sprintf("-s -w %sgitVersion=%s %sgitMajor=%s %sgitMinor=%s", version, release, version, part[0], version, part[1])
	for _, command := range commands {
		start := time.Now()
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", flags, "-o", filepath.Join(work, command), "./"+command)
		cmd.Dir = "components"
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", command, err, out)
		}
		fmt.Printf("built %s %s in %v\n", command, release, time.Since(start).Round(time.Second))
	}
	return os.Rename(work, dir)
}

// unpackEtcd gets Debian's package and takes the program out of it. Installing
// the package would start a server.
func unpackEtcd(dir string) error {
	work, err := os.MkdirTemp("", "etcd-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	script := `chmod 755 .; apt-get download -q etcd-server || { apt-get update -q && apt-get download -q etcd-server; }
		dpkg-deb -x etcd-server_*.deb root && cp root/usr/bin/etcd "$1"`
	cmd := exec.Command("sh", "-ec", script, "sh", dir)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch etcd-server with apt-get: %w\n%s", err, out)
	}
	return nil
}
