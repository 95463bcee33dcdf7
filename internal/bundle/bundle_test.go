// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
)

type fake struct {
	status control.Status
	err    error
}

func (f fake) Status(context.Context) (control.Status, error) { return f.status, f.err }
func (f fake) Nodes(context.Context) (control.Nodes, error) {
	return control.Nodes{Nodes: []control.Node{{Name: "beta"}}}, f.err
}

// program puts a program into the path that prints a text.
func program(t *testing.T, dir, name, text string) {
	t.Helper()
	script := "#!/bin/sh\ncat <<'END'\n" + text + "\nEND\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// unpack returns the entries of a bundle.
func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		all[name] = string(content)
	}
}

// scene is a host with secrets wherever there can be some. Each secret is in
// every place, as it is, in base64 and in hexadecimal.
func scene(t *testing.T) (o Options, secrets map[string][]byte, dir string) {
	t.Helper()
	dir = t.TempDir()
	secrets = map[string][]byte{
		"cluster key": bytes.Repeat([]byte{0xc1, 0x05}, 16), "identity": []byte("IDENTITY-seed-of-32-bytes-marked"),
		"variable": []byte("MARKED-variable-value"), "variable of the unit": []byte("MARKED-unit-value"),
	}
	key := base64.StdEncoding.EncodeToString(secrets["cluster key"])
	leaks := "FLANNELD_JOIN=exec:curl -H MARKED-exec https://x\nHTTP_PROXY=http://user:MARKED-proxy@proxy:1\n" +
		"Authorization: Bearer MARKED-bearer\nDB_PASSWORD=MARKED-password\n{\"registry_token\": \"MARKED-json\"}\nAWS_SECRET_ACCESS_KEY='MARKED quoted'\nplain text stays\n"
	for _, s := range secrets {
		leaks += string(s) + "\n" + hex.EncodeToString(s) + "\n" + strings.ToUpper(hex.EncodeToString(s)) + "\n" +
			base64.StdEncoding.EncodeToString(s) + "\n" + base64.URLEncoding.EncodeToString(s) + "\n"
	}
	programs := filepath.Join(dir, "bin")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		name, _, _ := strings.Cut(c.line, " ")
		program(t, programs, name, leaks)
	}
	t.Setenv("PATH", programs+":/usr/bin:/bin")
	files := map[string]string{
		"key": key + "\n", "identity": "HEADER\x01" + string(secrets["identity"]) + "\x02sum", "subnet.env": leaks, "docker": leaks, "daemon.json": leaks,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "flanneld_up 1\n"+leaks) }))
	t.Cleanup(web.Close)
	status := control.Status{Version: "1.0", Lease: control.Lease{Waiting: leaks}}
	status.Metrics.Address = netip.MustParseAddrPort(web.Listener.Addr().String())
	return Options{
		Doctor: control.Doctor{Host: "host 1/../x", Summary: leaks, Checks: []control.Check{{Text: leaks}}},
		Config: config.Config{StateDir: dir, RunDir: dir, KeyFile: filepath.Join(dir, "key"), DockerConfig: filepath.Join(dir, "daemon.json")},
		Settings: map[string]string{
			"FLANNELD_PORT": "9000", "FLANNELD_JOIN": "exec:curl -H MARKED-exec", "MY_SECRET": string(secrets["variable of the unit"]), "OTHER": "MARKED-other",
		},
		Environ: []string{"API_TOKEN=" + string(secrets["variable"]), "KEY_PATH=/usr/bin", "HOME=/root"},
		Client:  fake{status: status}, Now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC),
	}, secrets, dir
}

// No secret is in a bundle, in whatever form it is written.
func TestABundleHasNoSecrets(t *testing.T) {
	o, secrets, dir := scene(t)
	path, err := Write(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	all := unpack(t, path)
	for entry, content := range all {
		if strings.Contains(content, "MARKED") {
			at := strings.Index(content, "MARKED")
			t.Errorf("%s: %q", entry, content[max(0, at-40):min(len(content), at+40)])
		}
		for name, secret := range secrets {
			for _, form := range []string{
				string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
				base64.RawStdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
			} {
				if strings.Contains(content, form) {
					t.Errorf("%s has the %s: %q", entry, name, form)
				}
			}
		}
	}
	if !strings.Contains(all["unit/log"], "plain text stays") || !strings.Contains(all["unit/log"], removed) {
		t.Errorf("too much is taken out: %s", all["unit/log"])
	}
}

// A bundle has all entries, and only its owner can read it.
func TestABundleIsWholeAndPrivate(t *testing.T) {
	o, _, dir := scene(t)
	path, err := Write(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || filepath.Base(path) != "flanneld-host-1-..-x-20261129-120000.tar.gz" {
		t.Errorf("%v, %v", info, err)
	}
	all := unpack(t, path)
	for _, entry := range []string{"README", "doctor.json", "status.json", "nodes.json", "metrics", "settings", "host/routes", "rules/nft", "docker/info", "unit/log"} {
		if all[entry] == "" {
			t.Errorf("no %s", entry)
		}
	}
	if !strings.Contains(all["settings"], "FLANNELD_PORT=9000") || !strings.Contains(all["settings"], "2 variables that are no settings") ||
		!strings.Contains(all["metrics"], "flanneld_up 1") || !strings.Contains(all["nodes.json"], "beta") {
		t.Errorf("settings %s, metrics %s", all["settings"], all["metrics"])
	}
	if _, err := Write(t.Context(), dir, o); err == nil {
		t.Error("a bundle is written over")
	}
	if _, err := Write(t.Context(), "/no/such/dir", o); err == nil || !strings.Contains(err.Error(), "--bundle=DIR") {
		t.Errorf("%v", err)
	}
}

// Without a daemon and without programs, the entries say so.
func TestWhatIsMissingIsNamed(t *testing.T) {
	o, _, dir := scene(t)
	t.Setenv("PATH", "")
	o.Client, o.Settings, o.SettingsRead, o.Doctor.Host = fake{err: control.ErrNoDaemon}, nil, fs.ErrNotExist, "..."
	path, err := Write(t.Context(), dir, o)
	if err != nil || !strings.HasPrefix(filepath.Base(path), "flanneld-host-2026") {
		t.Fatal(path, err)
	}
	all := unpack(t, path)
	for entry, word := range map[string]string{"status.json": "no flanneld answers", "settings": "not there", "host/routes": "not found", "doctor.json": "checks"} {
		if !strings.Contains(all[entry], word) {
			t.Errorf("%s: %q", entry, all[entry])
		}
	}
}

// What is long is cut off, and nothing grows without a bound.
func TestEntriesAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "yes"), []byte("#!/bin/sh\nwhile echo 0123456789012345678901234567890123456789; do :; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got := output(ctx, []string{filepath.Join(dir, "yes")}); len(got) > maxEntry+1 {
		t.Errorf("%d bytes", len(got))
	}
	var b bytes.Buffer
	p := &packer{tar: tar.NewWriter(&b), name: "x", secrets: &secrets{}}
	p.put("large", bytes.Repeat([]byte("x"), 2*maxEntry))
	if p.err != nil || b.Len() > maxEntry+2048 || !strings.Contains(b.String(), "[cut off here]") {
		t.Errorf("%v, %d bytes", p.err, b.Len())
	}
}

func FuzzClean(f *testing.F) {
	f.Add([]byte("PASSWORD=x"), []byte("secret-text"))
	f.Add([]byte("http://a:b@c/ exec:x"), []byte("0123456789"))
	f.Fuzz(func(t *testing.T, content, secret []byte) {
		var s secrets
		s.add(secret)
		s.sort()
		got := s.clean(append(content, secret...))
		// What is put in its place has brackets around it.
		apart := !bytes.ContainsAny(secret, "[]") && !strings.Contains(removed, string(secret))
		if len(secret) >= minSecret && apart && bytes.Contains(got, secret) {
			t.Errorf("%q has %q", got, secret)
		}
	})
}
