// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirectoriesThatOthersCanChangeAreRefused(t *testing.T) {
	top := t.TempDir()
	path := func(names ...string) string { return filepath.Join(append([]string{top}, names...)...) }
	for name, mode := range map[string]os.FileMode{"good": 0o755, "closed": 0o700, "group": 0o775, "world": 0o757, "sticky": 0o1777, "above": 0o777} {
		if err := os.Mkdir(path(name), 0o700); err != nil {
			t.Fatal(err)
		}
		full := mode.Perm()
		if mode&0o1000 != 0 {
			full |= os.ModeSticky
		}
		if err := os.Chmod(path(name), full); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range [][2]string{{"good", "link"}, {"absent", "dangling"}} {
		if err := os.Symlink(path(link[0]), path(link[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		path("good"): "", path("closed"): "", path("absent"): "", path("absent", "deep"): "",
		path("link", "below"): "", path("sticky", "absent"): "",
		path("group"): "written by others", path("world"): "written by others", path("sticky"): "written by others",
		path("link"): "symbolic link", path("dangling"): "symbolic link", path("file"): "not a directory",
		path("above", "absent"): "written by everyone",
	} {
		err := CheckTrust(dir, "--run-dir")
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", dir, err)
		case want != "" && err == nil:
			t.Errorf("%s is accepted", dir)
		case want != "" && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--run-dir "+dir)):
			t.Errorf("%s: %v: want %q", dir, err, want)
		}
	}
}

func TestDirectoriesOfAnotherUserAreRefused(t *testing.T) {
	top := t.TempDir()
	own := filepath.Join(top, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(own)
	if err != nil {
		t.Fatal(err)
	}
	if why := untrusted(info); why != "" {
		t.Errorf("own directory: %s", why)
	}
	if os.Geteuid() != 0 { // only root can give a directory away
		return
	}
	if err := os.Chown(own, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{own, filepath.Join(own, "below")} {
		if err := CheckTrust(dir, "--state-dir"); err == nil || !strings.Contains(err.Error(), "user 65534") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
