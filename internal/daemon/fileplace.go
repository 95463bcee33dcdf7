package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"flanneld/internal/config"
	"flanneld/internal/host/envfile"
)

// checkFilePlaces finds out whether the directories of subnet.env and the file
// for dockerd are there, before a lease is claimed for nothing.
func checkFilePlaces(c config.Config) error {
	for _, file := range []struct{ flag, path string }{
		{"--subnet-file", c.SubnetPath()}, {"--docker-file", c.DockerPath()},
	} {
		dir := filepath.Dir(file.path)
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		if err != nil {
			return fmt.Errorf("%s cannot be written: %w: make the directory %s, or name another file with %s", file.path, err, dir, file.flag)
		}
	}
	return nil
}

// writeFile replaces a file that other programs read; flag names another one.
func writeFile(f file, flag string) error {
	err := envfile.Write(f.path, f.content)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: make room, or name another file with %s", err, flag)
	case err != nil:
		return fmt.Errorf("%w: make it writable, or name another file with %s", err, flag)
	}
	return nil
}
