// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestNewKeyIsReadBack(t *testing.T) {
	var keys [2]Key
	for i := range keys {
		text, err := NewKey()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys[i], err = ReadKey(path); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] == keys[1] {
		t.Fatal("the same key twice")
	}
}

func TestUnusableKeyFileIsNamedAndNotQuoted(t *testing.T) {
	good, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ what, path, says string }{
		{"missing", filepath.Join(dir, "missing"), "keygen"},
		{"directory", dir, "not a regular file"},
		{"pipe", pipe, "not a regular file"},
		{"readable by all", write("world", good, 0o644), "chmod 600"},
		{"readable by the group", write("group", good, 0o640), "chmod 600"},
		{"empty", write("empty", "\n", 0o600), "keygen"},
		{"short", write("short", base64.StdEncoding.EncodeToString(make([]byte, 16)), 0o600), "16 bytes"},
		{"long", write("long", base64.StdEncoding.EncodeToString(make([]byte, 64)), 0o600), "64 bytes"},
		{"no base64", write("noise", good[:20]+"!"+good[21:], 0o600), "not base64"},
		{"huge", write("huge", strings.Repeat(good, 1000), 0o600), "larger than"},
	} {
		_, err := ReadKey(c.path)
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadKey || e.File != c.path || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if strings.Contains(err.Error(), good[:20]) {
			t.Errorf("%s: the error quotes the key", c.what)
		}
	}
}

func FuzzKeyFile(f *testing.F) {
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.Add([]byte(" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAA=="))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := parseKey(b)
		if err != nil {
			return
		}
		again, err := parseKey([]byte(base64.StdEncoding.EncodeToString(key[:])))
		if err != nil || again != key {
			t.Fatalf("%v", err)
		}
	})
}
