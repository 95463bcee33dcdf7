// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CNI plugins that Debian has not: newer ones, which know version 1.1.0 of the
// specification, and flannel's own, whose repository of today the module proxy
// does not serve. It was part of containernetworking/plugins until 0.9.
// go.mod does not name them: the program does not depend on them.
const (
	newPlugins    = "v1.10.0"
	oldPlugins    = "v0.9.1"
	pluginsFolder = "FLANNELD_LAB_CNI"
	pluginsError  = "FLANNELD_LAB_CNI_ERROR"
)

// FetchCNI builds CNI plugins unless they are there, and returns the variables
// that describe them to the inner run. A failure is no error here, but for the
// tests that need them.
func FetchCNI() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "cni")
	if err := buildPlugins(dir); err != nil {
		return []string{pluginsError + "=" + strings.Join(strings.Fields(err.Error()), " ")}, nil
	}
	return []string{pluginsFolder + "=" + dir}, nil
}

func buildPlugins(dir string) error {
	return errors.Join(
		install(filepath.Join(dir, newPlugins), newPlugins, "main/bridge", "ipam/host-local"),
		install(filepath.Join(dir, oldPlugins), oldPlugins, "meta/flannel"))
}

// install builds plugins of one version into a folder, if one is missing.
func install(folder, version string, plugins ...string) error {
	args := []string{"install", "-trimpath"}
	for _, p := range plugins {
		if !fileExists(filepath.Join(folder, filepath.Base(p))) {
			args = append(args, "github.com/containernetworking/plugins/plugins/"+p+"@"+version)
		}
	}
	if len(args) == 2 {
		return nil
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOBIN="+folder, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// NewPlugins is a folder with the plugins bridge and host-local in a version
// that knows STATUS and GC. The test fails if they could not be built.
func NewPlugins(t TB) string {
	t.Helper()
	return pluginFolder(t, newPlugins)
}

// FlannelPlugin is flannel's own CNI plugin, the program.
func FlannelPlugin(t TB) string {
	t.Helper()
	return filepath.Join(pluginFolder(t, oldPlugins), "flannel")
}

func pluginFolder(t TB, version string) string {
	t.Helper()
	dir := os.Getenv(pluginsFolder)
	if dir == "" {
		t.Fatalf("CNI plugins could not be built: %s", os.Getenv(pluginsError))
	}
	return filepath.Join(dir, version)
}
