// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// An image is files of this machine and the command that a container runs.
type image struct {
	name       string
	files      map[string]string // path in the image: path here
	links      map[string]string // path in the image: where it points
	entrypoint []string
}

// The images of the cluster. Nothing is fetched from a registry.
const (
	pauseImage = "lab.test/pause:1"
	podImage   = "lab.test/busybox:1"
)

// makeImages writes the archives for `ctr images import` into the directory and
// returns their paths.
func makeImages(t *testing.T, dir, flanneld string) (archives []string) {
	t.Helper()
	pause := filepath.Join(dir, "pause")
	build := exec.Command("go", "build", "-trimpath", "-o", pause, "./pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build pause: %v\n%s", err, out)
	}
	for i, made := range []image{
		{name: pauseImage, files: map[string]string{"pause": pause}, entrypoint: []string{"/pause"}},
		busyboxImage(t),
		programImage(t, flanneldImage, flanneld),
	} {
		archive := filepath.Join(dir, fmt.Sprintf("image%d.tar", i+1))
		if err := made.write(archive); err != nil {
			t.Fatalf("make image %s: %v", made.name, err)
		}
		archives = append(archives, archive)
	}
	return archives
}

// busyboxImage is what pods of the tests run.
func busyboxImage(t *testing.T) image {
	t.Helper()
	i := image{name: podImage, files: map[string]string{"bin/busybox": found(t, "busybox")}, links: map[string]string{}, entrypoint: []string{"/bin/sleep", "1000000"}}
	for _, applet := range strings.Fields("sh ping ip nc wget httpd sleep cat echo") {
		i.links["bin/"+applet] = "busybox"
	}
	return i
}

// programImage is flanneld with Debian's iptables, which it calls, with the
// libraries that the loader names, and the extensions.
func programImage(t *testing.T, name, flanneld string) image {
	t.Helper()
	i := image{name: name, files: map[string]string{"usr/local/bin/flanneld": flanneld}, links: map[string]string{}, entrypoint: []string{"/usr/local/bin/flanneld"}}
	binaries := []string{found(t, "iptables"), found(t, "ip6tables")}
	extensions, _ := filepath.Glob("/usr/lib/*/xtables/*.so")
	for _, path := range append(binaries, extensions...) {
		i.addBinary(t, path)
	}
	return i
}

// addBinary adds a file, with all libraries that it loads, in their places.
func (i image) addBinary(t *testing.T, path string) {
	t.Helper()
	i.files[strings.TrimPrefix(path, "/")] = real(t, path) // some are links
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", path, err)
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			i.files[strings.TrimPrefix(word, "/")] = real(t, word)
		}
	}
}

func found(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v (make tools installs it)", err)
	}
	return path
}

func real(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// write makes an archive as `docker save` does: one layer, a configuration, and
// a manifest.
func (i image) write(archive string) error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	type object = map[string]any
	config, _ := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": object{"Entrypoint": i.entrypoint, "Env": []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	manifest, _ := json.Marshal([]object{{"Config": "config.json", "RepoTags": []string{i.name}, "Layers": []string{"layer.tar"}}})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range []struct {
		name string
		data []byte
	}{{"layer.tar", layer}, {"config.json", config}, {"manifest.json", manifest}} {
		if err := addFile(w, file.name, file.data, 0o644); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, out.Bytes(), 0o644)
}

func (i image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, path := range i.files {
		data, err := os.ReadFile(path)
		if err == nil {
			err = addFile(w, name, data, 0o755)
		}
		if err != nil {
			return nil, err
		}
	}
	for name, target := range i.links {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func addFile(w *tar.Writer, name string, data []byte, mode fs.FileMode) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: int64(mode)}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}
