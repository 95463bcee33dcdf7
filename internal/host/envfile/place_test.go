// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFilesWhoseDirectoryIsMissingAreRefusedByTheirFlag(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, good := range map[string]bool{
		filepath.Join(dir, "subnet.env"):  true,
		filepath.Join(dir, "none", "env"): false,
		filepath.Join(file, "docker"):     false,
	} {
		err := CheckPlace(path, "--subnet-file")
		if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), "--subnet-file") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// A rename over /dev/null would take the device away from the whole host.
func TestOnlyFilesAreReplacedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		syscall.Mkfifo(at("pipe"), 0o600),
		os.Symlink(at("pipe"), at("link to a pipe")),
		os.Mkdir(at("directory"), 0o700),
		os.Symlink("/dev/null", at("link to a device")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"pipe", "link to a pipe", "directory", "link to a device"} {
		before, err := os.Lstat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckPlace(at(name), "--docker-file"); err == nil || !strings.Contains(err.Error(), "--docker-file") {
			t.Errorf("%s: CheckPlace says %v", name, err)
		}
		if err := Write(at(name), []byte("A=1\n")); err == nil {
			t.Errorf("%s was replaced", name)
		}
		f := NewFile("file", at(name))
		if present := f.Present(); len(present) > 0 {
			t.Errorf("%s: %v would be removed", name, present)
		}
		if err := f.Remove(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.Lstat(at(name)); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
	if err := os.Symlink(at("later"), at("link to nothing")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"none yet", "link to nothing"} {
		if err := errors.Join(CheckPlace(at(name), ""), Write(at(name), []byte("A=1\n"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
