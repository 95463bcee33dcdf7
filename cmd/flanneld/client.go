package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

// place is the run directory a command looks for the daemon in: the same flag
// and variable that `flanneld run` has.
type place struct{ values map[string][]string }

func addPlace(c *cobra.Command, more ...string) place {
	p := place{values: map[string][]string{}}
	for _, name := range append([]string{"run-dir"}, more...) {
		if s, ok := config.Lookup(name); ok {
			addSetting(c, s, p.values)
		}
	}
	return p
}

// load reads these settings alone: what else is in the environment concerns
// the daemon and cannot make a command fail.
func (p place) load(s surroundings) (config.Config, error) {
	lookup := func(variable string) (string, bool) {
		for _, name := range []string{"run-dir", "state-dir", "device", "subnet-file", "docker-file"} {
			if setting, _ := config.Lookup(name); setting.Variable() == variable {
				return s.lookup(variable)
			}
		}
		return "", false
	}
	return config.Load(p.values, lookup)
}

// client makes a client for the daemon of the run directory.
func (p place) client(s surroundings) (*control.Client, error) {
	cfg, err := p.load(s)
	if err != nil {
		return nil, err
	}
	return control.NewClient(filepath.Clean(cfg.SocketPath())), nil
}
