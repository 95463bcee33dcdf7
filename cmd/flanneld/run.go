// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/daemon"
	"flanneld/internal/memory"
)

// settingFlag is one setting of the daemon as a flag. It only collects values;
// package config gives them a meaning.
type settingFlag struct {
	setting config.Setting
	values  map[string][]string
}

func (f settingFlag) String() string { return f.setting.Default }

func (f settingFlag) Type() string {
	if f.setting.Switch() {
		return "bool"
	}
	return f.setting.Value
}

func (f settingFlag) Set(value string) error {
	if !f.setting.List {
		f.values[f.setting.Name] = nil
	}
	f.values[f.setting.Name] = append(f.values[f.setting.Name], value)
	return nil
}

// addSetting registers a setting as a flag of c.
func addSetting(c *cobra.Command, s config.Setting, values map[string][]string) {
	flag := c.Flags().VarPF(settingFlag{s, values}, s.Name, "", s.Help)
	if s.Switch() {
		flag.NoOptDefVal = "true"
	}
}

func runCommand(e env) *cobra.Command {
	values := map[string][]string{}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon, in the foreground",
		Long: `Run the daemon in the foreground: found a network or join one, lease a subnet, set up the
overlay device, forward packets, and write subnet.env and the file for dockerd.

--backend says how packets travel to other hosts. A path other than udp is used for a host only after
packets have passed it both ways, and left when they do not. flanneld ping shows why.

Each flag is also an environment variable, FLANNELD_ and the flag's name in capitals with
underscores (FLANNELD_SUBNET_LEN for --subnet-len). A flag wins over its variable.

SIGTERM and SIGINT stop it in order within 5 s. The device, its addresses and routes stay for the
next start. A second signal stops it at once. SIGHUP reads the key file again.`,
		Example: `  flanneld run --network 10.244.0.0/16
  flanneld run --join host1 --join host2:9286 --key-file /etc/flanneld/key
  flanneld run --join host1 --backend auto
  FLANNELD_JOIN=host1,host2 flanneld run`,
		Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(values, e.lookup)
			if err != nil {
				return err
			}
			log := newLogger(cfg, e)
			warnUnknown(log, e.environ)
			memory.CollectEarly()
			if limit := memory.ObeyCgroup(); limit > 0 {
				log.Info("memory limit is taken from the cgroup", "bytes", limit)
			}
			return runDaemon(c.Context(), cfg, log)
		},
	}
	for _, setting := range config.Settings() {
		addSetting(c, setting, values)
	}
	return c
}

func newLogger(cfg config.Config, e env) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(e.err, options))
	}
	return slog.New(slog.NewTextHandler(e.err, options))
}

// warnUnknown logs variables that are probably misspelled.
func warnUnknown(log *slog.Logger, environ []string) {
	var known []string
	for _, setting := range config.Settings() {
		known = append(known, setting.Variable())
	}
	for _, name := range config.UnknownVariables(environ) {
		log.Warn("environment variable is no setting of this version and is ignored", "variable", name, "nearest", nearest(name, known))
	}
}

// runDaemon runs the daemon until a signal asks it to stop. A second signal is
// for impatient users: the process ends at once, as a failure.
func runDaemon(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(stop)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	go func() {
		select {
		case got := <-stop:
			log.Info("stopping", "signal", got)
			cancel()
		case <-ctx.Done():
			return
		}
		got := <-stop
		log.Error("stopping at once", "signal", got)
		os.Exit(statusFailed)
	}()
	return daemon.Run(ctx, daemon.Options{Config: cfg, Version: version, Log: log, Reload: reload})
}
