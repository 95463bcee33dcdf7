// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flanneld/internal/cni"
)

// Where container runtimes look, as their packages have it. Programs are looked
// for in both folders.
const (
	cniConfigs = "/etc/cni/net.d"
	maxConfig  = 1 << 20 // bytes of a network configuration
)

var cniPrograms = []string{"/opt/cni/bin", "/usr/lib/cni"}

// cniConfig is what a network configuration says, as far as it is looked at.
type cniConfig struct {
	Type       string      `json:"type"`
	SubnetFile string      `json:"subnetFile"`
	Plugins    []cniConfig `json:"plugins"`
}

// parseCNI reads a network configuration or a list of plugins.
func parseCNI(content []byte) ([]cniConfig, error) {
	var c cniConfig
	if len(content) > maxConfig {
		return nil, fmt.Errorf("has more than %d bytes", maxConfig)
	}
	if err := json.Unmarshal(content, &c); err != nil {
		return nil, fmt.Errorf("is no network configuration: %w", err)
	}
	if len(c.Plugins) > 0 {
		return c.Plugins, nil
	}
	return []cniConfig{c}, nil
}

// cni looks at the network configurations that name flanneld's plugin, or
// flannel's.
func (e *exam) cni(context.Context) {
	files, err := e.cniFiles()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("containers", "cni", "no CNI configuration on this host")
		return
	case err != nil:
		e.skipErr("containers", "cni", err, "ls -l "+cniConfigs)
		return
	}
	ours := ""
	for i, name := range files {
		path := filepath.Join(cniConfigs, name)
		content, err := os.ReadFile(e.file(path))
		var plugins []cniConfig
		if err == nil {
			plugins, err = parseCNI(content)
		}
		if err != nil {
			e.warn("containers", "cni", fmt.Sprintf("%s: %v", path, err), "correct the file, or move it out of "+cniConfigs)
			continue
		}
		at := slices.IndexFunc(plugins, func(p cniConfig) bool { return slices.Contains(cni.Names, p.Type) })
		if at < 0 || ours != "" {
			continue
		}
		ours = path
		if i > 0 {
			e.warn("containers", "cni", fmt.Sprintf("%s comes before %s: most runtimes use the first file", files[0], name), fmt.Sprintf("move %s out of %s, or give it a later name", files[0], cniConfigs))
		}
		e.cniPlugin(path, plugins[at])
	}
	if ours == "" {
		e.ok("containers", "cni", "no configuration in %s names flanneld's plugin", cniConfigs)
	}
}

// cniFiles are the names of the configurations, in the order of runtimes.
func (e *exam) cniFiles() (names []string, err error) {
	entries, err := os.ReadDir(e.file(cniConfigs))
	for _, entry := range entries { // sorted by name
		switch filepath.Ext(entry.Name()) {
		case ".conf", ".conflist", ".json":
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// cniPlugin looks for what a configuration needs.
func (e *exam) cniPlugin(path string, p cniConfig) {
	var missing []string
	for _, program := range []string{p.Type, "bridge", "host-local"} {
		if !slices.ContainsFunc(cniPrograms, func(dir string) bool {
			_, err := os.Stat(e.file(filepath.Join(dir, program)))
			return err == nil
		}) {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		e.broken("containers", "cni", fmt.Sprintf("%s needs plugins that are not in %s: %s", path, strings.Join(cniPrograms, " or "), strings.Join(missing, ", ")),
			"flanneld cni install puts flanneld-cni there; bridge and host-local are in the package containernetworking-plugins")
		return
	}
	if file, read := e.Config.SubnetPath(), cmp.Or(p.SubnetFile, cni.DefaultSubnetFile); read != file {
		e.broken("containers", "cni", fmt.Sprintf("%s reads %s, and flanneld writes %s", path, read, file),
			fmt.Sprintf("set \"subnetFile\": %q in %s", file, path))
		return
	}
	e.ok("containers", "cni", "%s has its plugins, and reads %s", path, e.Config.SubnetPath())
}
