// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

// target is the run directory in which a command looks for the daemon: the same
// flag and variable as those of `flanneld run`.
type target struct{ values map[string][]string }

func addTarget(c *cobra.Command, more ...string) target {
	t := target{values: map[string][]string{}}
	for _, name := range append([]string{"run-dir"}, more...) {
		if s, ok := config.Lookup(name); ok {
			addSetting(c, s, t.values)
		}
	}
	return t
}

// load reads these settings alone. The other variables in the environment
// concern the daemon and cannot make a command fail.
func (t target) load(e env) (config.Config, error) {
	lookup := func(variable string) (string, bool) {
		for _, name := range []string{"run-dir", "state-dir", "device", "subnet-file", "docker-file"} {
			if setting, _ := config.Lookup(name); setting.Variable() == variable {
				return e.lookup(variable)
			}
		}
		return "", false
	}
	return config.Load(t.values, lookup)
}

// client makes a client for the daemon of the run directory.
func (t target) client(e env) (*control.Client, error) {
	cfg, err := t.load(e)
	if err != nil {
		return nil, err
	}
	return control.NewClient(filepath.Clean(cfg.SocketPath())), nil
}
