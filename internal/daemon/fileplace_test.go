package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/config"
)

func TestFilesWhoseDirectoryIsMissingAreRefusedByTheirFlag(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  config.Config
		flag string // "": it is fine
	}{
		{config.Config{RunDir: dir}, ""},
		{config.Config{RunDir: dir, SubnetFile: filepath.Join(dir, "s"), DockerFile: filepath.Join(dir, "d")}, ""},
		{config.Config{RunDir: dir, DockerFile: filepath.Join(dir, "none", "docker")}, "--docker-file"},
		{config.Config{RunDir: dir, SubnetFile: filepath.Join(dir, "none", "env")}, "--subnet-file"},
		{config.Config{RunDir: dir, DockerFile: filepath.Join(file, "docker")}, "--docker-file"},
	} {
		err := checkFilePlaces(c.cfg)
		if c.flag == "" && err != nil || c.flag != "" && (err == nil || !strings.Contains(err.Error(), c.flag) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%+v: got %v, want an error about %q", c.cfg, err, c.flag)
		}
	}
}
