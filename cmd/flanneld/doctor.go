// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flanneld/internal/bundle"
	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/daemon"
	"flanneld/internal/doctor"
	"flanneld/internal/host"
	"flanneld/internal/host/shortcut"
)

// defaultSettings is the file that the unit reads.
const defaultSettings = "/etc/default/flanneld"

func doctorCommand(e env) *cobra.Command {
	var settings, socket, dir string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, and say what to type",
		Long: `Look at everything that can keep flanneld, or the traffic of containers, from working: settings,
kernel, disk, rules of other programs, ports and paths to other hosts both ways, clocks, versions,
Docker, CNI. Each line says ok, warning, broken or not checked, what was found and what to type.

With --bundle it also writes a file for a report of a fault, with the output of this command, status,
node table, settings, rules, routes and log. Keys, tokens and passwords are taken out.

It works with the daemon running or not. Without a daemon, it looks for what a start would stumble
over. Nothing on the host is changed. Run it as root: what other users cannot look at is reported as
not checked. It takes some seconds, and up to a minute where other hosts do not answer.

docs/doctor.md says what each check means. The exit status is 1 if something is broken, else 0.`,
		Example: `  sudo flanneld doctor
  sudo flanneld doctor --bundle
  flanneld doctor -o json | jq '.checks[] | select(.verdict == "broken")'`,
		Args: exactly(),
	}
	as := addFormat(c)
	c.Flags().StringVar(&settings, "settings", defaultSettings, "environment `FILE` that the daemon is started with")
	c.Flags().StringVar(&dir, "bundle", "", "write a file for a report of a fault into `DIR` (--bundle alone: this directory)")
	c.Flags().Lookup("bundle").NoOptDefVal = "."
	addDockerSocket(c, &socket)
	at := addTarget(c, "state-dir", "device", "subnet-file", "docker-file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o, vars, err := examination(e, at, settings, socket)
		if err != nil {
			return err
		}
		found := doctor.Examine(c.Context(), o)
		if err := show(e, *as, found, func(t *table) { drawDoctor(t, found) }); err != nil {
			return err
		}
		if dir != "" {
			path, err := bundle.Write(c.Context(), dir, bundle.Options{
				Doctor: found, Config: o.Config, Settings: vars, SettingsRead: o.SettingsRead, Environ: e.environ,
				Client: control.NewClient(o.Config.SocketPath()), Now: time.Now(),
			})
			if err != nil {
				return err
			}
			fmt.Fprintln(e.err, "written:", path)
		}
		if !found.OK {
			return errNotWell
		}
		return nil
	}
	return c
}

// examination is where and how doctor looks: at the settings of the unit, with
// the flags and variables of the command line before these. vars are the
// variables in the file of settings.
func examination(e env, at target, settings, socket string) (o doctor.Options, vars map[string]string, err error) {
	o = doctor.Options{Version: version, SettingsFile: settings, Root: os.Geteuid() == 0}
	alone, err := at.load(e)
	if err != nil {
		return o, nil, err
	}
	content, err := os.ReadFile(settings)
	o.SettingsRead = err
	vars = config.Environment(content)
	o.Config, o.SettingsErr = config.Load(at.values, func(name string) (string, bool) {
		if value, ok := e.lookup(name); ok && value != "" {
			return value, true
		}
		value, ok := vars[name]
		return value, ok
	})
	if o.SettingsErr != nil {
		o.Config = alone
	}
	var lines []string
	for name, value := range vars {
		lines = append(lines, name+"="+value)
	}
	o.Unknown = config.UnknownVariables(lines)
	o.Client = control.NewClient(o.Config.SocketPath())
	o.DockerHost, err = dockerHost(e, socket)
	o.Shortcut = shortcut.Probe
	o.Check = func(ctx context.Context) ([]host.Finding, error) { return daemon.Check(ctx, o.Config) }
	return o, vars, err
}

const (
	doctorWidth  = 100 // columns
	verdictWidth = 13
	nameWidth    = 16
)

var verdictColors = map[string]string{control.CheckWarning: yellow, control.CheckBroken: red}

// drawDoctor draws a line for each check, in groups. What does not fit goes on
// in the next line.
func drawDoctor(t *table, d control.Doctor) {
	color := plain
	if !d.OK {
		color = red
	}
	for _, line := range wrap(d.Summary, doctorWidth) {
		t.line(color, line)
	}
	group := ""
	for _, c := range d.Checks {
		if c.Group != group {
			group = c.Group
			t.line(plain, "")
			t.line(plain, group)
		}
		indent := strings.Repeat(" ", 2+verdictWidth+nameWidth)
		first := fmt.Sprintf("  %-*s%-*s", verdictWidth, c.Verdict, nameWidth, c.Name)
		for _, line := range wrap(c.Text, doctorWidth-len(indent)) {
			t.line(verdictColors[c.Verdict], first+line)
			first = indent
		}
		if c.Advice == "" {
			continue
		}
		for _, line := range wrap("-> "+c.Advice, doctorWidth-len(indent)) {
			t.line(verdictColors[c.Verdict], indent+line)
		}
	}
}

// wrap breaks a text at blanks into lines of so many columns. A longer word has
// a line of its own.
func wrap(text string, columns int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= columns:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
