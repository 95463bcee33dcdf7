// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// ProgramName is what container runtimes start the plugin as.
const ProgramName = "flanneld-cni"

// maxConf bounds a network configuration, in bytes.
const maxConf = 1 << 20

// InstallProgram puts a copy of a program into a directory as [ProgramName],
// and returns its path. A runtime finds the old one or the new one, and never a
// part.
func InstallProgram(program, dir string) (path string, err error) {
	from, err := os.Open(program)
	if err != nil {
		return "", err
	}
	defer from.Close()
	path = filepath.Join(dir, ProgramName)
	to, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o755))
	if err != nil {
		return "", err
	}
	defer func() { _ = to.Cleanup() }()
	if _, err := io.Copy(to, from); err != nil {
		return "", err
	}
	return path, to.CloseAtomicallyReplace()
}

// InstallConf puts a copy of a network configuration list into a directory,
// under its name, and returns its path. It refuses what is no such list.
func InstallConf(file, dir string) (path string, err error) {
	from, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer from.Close()
	content, err := io.ReadAll(io.LimitReader(from, maxConf+1))
	if err != nil {
		return "", err
	}
	var list struct {
		Name    string
		Plugins []struct{ Type string }
	}
	switch err := json.Unmarshal(content, &list); {
	case len(content) > maxConf:
		return "", fmt.Errorf("%s has more than %d bytes", file, maxConf)
	case err != nil:
		return "", fmt.Errorf("%s is no network configuration: %w", file, err)
	case list.Name == "" || len(list.Plugins) == 0 || list.Plugins[0].Type == "":
		return "", fmt.Errorf("%s is no network configuration list: it has no name, or no plugins with a type", file)
	}
	path = filepath.Join(dir, filepath.Base(file))
	return path, renameio.WriteFile(path, content, 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
}
