// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"flanneld/internal/host/rundir"
	"flanneld/peers"
)

// settings looks at what the unit starts the daemon with.
func (e *exam) settings(context.Context) {
	file := e.SettingsFile
	fix := fmt.Sprintf("correct it in %s (flanneld run --help lists all settings), then systemctl restart flanneld", file)
	switch {
	case errors.Is(e.SettingsRead, fs.ErrNotExist):
		e.ok("settings", "settings", "%s is not there: all settings have their defaults", file)
	case e.SettingsRead != nil:
		e.skipErr("settings", "settings", e.SettingsRead, fix)
	case e.SettingsErr != nil:
		e.broken("settings", "settings", "flanneld would not start: "+e.SettingsErr.Error(), fix)
	case len(e.Unknown) > 0:
		e.warn("settings", "settings", "no settings of flanneld: "+strings.Join(e.Unknown, ", "), fix)
	default:
		e.ok("settings", "settings", "%s is in order", file)
	}
	e.clusterKey()
	e.directories()
}

// clusterKey looks at the key file.
func (e *exam) clusterKey() {
	path := e.Config.KeyFile
	if path == "" {
		e.ok("settings", "cluster key", "none in the settings: gossip is open to every host that reaches its port")
		return
	}
	switch err := peers.CheckKey(e.file(path)); {
	case err == nil && e.SettingsRead == nil && hiddenFromUnit(path):
		e.warn("settings", "cluster key", path+" cannot be read by flanneld.service: its sandbox hides /home, /root and /run/user",
			fmt.Sprintf("mv %s /etc/flanneld.key, and name that in %s", path, e.SettingsFile))
	case err == nil:
		e.ok("settings", "cluster key", "%s can be used", path)
	case errors.Is(err, fs.ErrPermission), !e.Root && !readable(e.file(path)):
		e.skip("settings", "cluster key", path+" cannot be read", asRoot)
	default:
		e.broken("settings", "cluster key", err.Error(), fmt.Sprintf("put the key of the other nodes there, with mode 0600; flanneld keygen makes one for a new network (%s)", path))
	}
}

// hiddenFromUnit reports whether ProtectHome=yes hides a path.
func hiddenFromUnit(path string) bool {
	return slices.ContainsFunc([]string{"/home/", "/root/", "/run/user/"}, func(dir string) bool { return strings.HasPrefix(path, dir) })
}

// readable reports whether a file can be opened, or is not there.
func readable(path string) bool {
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return !errors.Is(err, fs.ErrPermission)
}

// directories looks at the two directories that the daemon refuses where others
// can change them.
func (e *exam) directories() {
	for _, d := range []struct{ name, path, flag string }{
		{"state", e.Config.StateDir, "--state-dir"}, {"run", e.Config.RunDir, "--run-dir"},
	} {
		name := d.name + " rights"
		switch err := rundir.CheckTrust(e.file(d.path), d.flag); {
		case err == nil:
			e.ok("settings", name, "%s belongs to root alone", d.path)
		case !e.Root:
			e.skip("settings", name, err.Error(), asRoot)
		default:
			e.broken("settings", name, err.Error(), fmt.Sprintf("chown root: %s; chmod go-w %[1]s", d.path))
		}
	}
	e.setAside()
}

// setAside names damaged files that an earlier start moved out of its way.
func (e *exam) setAside() {
	entries, err := os.ReadDir(e.file(e.Config.StateDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("settings", "state files", "%s is not there yet: a start makes it", e.Config.StateDir)
		return
	case err != nil:
		e.skipErr("settings", "state files", err, "see: ls -la "+e.Config.StateDir)
		return
	}
	var aside []string
	for _, entry := range entries {
		if strings.Contains(entry.Name(), ".corrupt-") {
			aside = append(aside, entry.Name())
		}
	}
	if len(aside) == 0 {
		e.ok("settings", "state files", "no file of %s was found damaged", e.Config.StateDir)
		return
	}
	e.warn("settings", "state files", fmt.Sprintf("an earlier start set damaged files aside in %s: %s", e.Config.StateDir, strings.Join(aside, ", ")),
		"check the disk (dmesg; smartctl), keep the files for a bug report, then remove them")
}
