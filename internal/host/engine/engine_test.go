// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host/engine/enginetest"
)

func open(t *testing.T, s *enginetest.Server) *Engine {
	t.Helper()
	d, err := Open(t.Context(), "unix://"+s.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func wish() Wish { return Wish{Name: "flannel", Lease: lease, MTU: 1472, Masquerade: true} }

func TestANetworkIsMadeOnceAndKept(t *testing.T) {
	for api, unprotected := range map[string]bool{"1.41": false, "1.47": false, "1.48": true, "1.99": true} {
		s := enginetest.New(t, api, "10.244.7.0/25")
		d := open(t, s)
		kept, err := Keep(t.Context(), d, wish())
		if err != nil || !kept.Made || kept.Changes != nil || kept.Part.String() != "2/2" {
			t.Fatalf("%s: %+v, %v", api, kept, err)
		}
		made := s.Networks[1]
		want := map[string]string{"com.docker.network.bridge.name": "br-flannel", "com.docker.network.driver.mtu": "1472",
			"com.docker.network.bridge.enable_ip_masquerade": "true"}
		if unprotected {
			want["com.docker.network.bridge.gateway_mode_ipv4"] = "nat-unprotected"
		}
		if made.Driver != "bridge" || !made.Attachable || len(made.Options) != len(want) || !slices.Equal(made.IPAM.Config, []enginetest.Pool{{Subnet: "10.244.7.128/25", Gateway: "10.244.7.129"}}) {
			t.Errorf("%s: made %+v", api, made)
		}
		for key, value := range want {
			if made.Options[key] != value {
				t.Errorf("%s: %s is %q", api, key, made.Options[key])
			}
		}
		if kept, err = Keep(t.Context(), d, wish()); err != nil || kept.Made || len(s.Changes) != 1 {
			t.Errorf("%s: again: %+v, %v, %q", api, kept, err, s.Changes)
		}
		version := "/v" + api + "/"
		if api == "1.99" {
			version = "/v1.57/" // the newest that the client knows
		}
		for _, path := range s.Requests {
			if path != "/_ping" && !strings.HasPrefix(path, version) {
				t.Errorf("%s: asked for %s", api, path)
			}
		}
	}
}

func TestANetworkFollowsTheLease(t *testing.T) {
	s := enginetest.New(t, "1.48", "10.244.9.0/25")
	d := open(t, s)
	before := wish()
	before.Lease, before.Part = netip.MustParsePrefix("10.244.9.0/24"), part(t, "2/2")
	if _, err := Keep(t.Context(), d, before); err != nil {
		t.Fatal(err)
	}
	s.Do(func() { s.Containers[s.Networks[1].ID] = []string{"web", "db"} })
	_, err := Keep(t.Context(), d, wish())
	for _, word := range []string{"subnet is 10.244.9.128/25, not 10.244.7.128/25", "db, web", "docker compose down", "docker rm -f db web"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("no %q in %v", word, err)
		}
	}
	if len(s.Changes) != 1 {
		t.Errorf("changes: %q", s.Changes)
	}
	s.Do(func() { s.Containers = nil })
	kept, err := Keep(t.Context(), d, wish())
	if err != nil || !kept.Made || !slices.Contains(kept.Changes, "subnet is 10.244.9.128/25, not 10.244.7.128/25") {
		t.Errorf("got %+v, %v", kept, err)
	}
	if !slices.Equal(s.Changes, []string{"create flannel", "remove flannel", "create flannel"}) {
		t.Errorf("changes: %q", s.Changes)
	}
}

func TestANetworkOfAnotherIsLeftAlone(t *testing.T) {
	s := enginetest.New(t, "1.48", "172.17.0.0/16")
	s.Networks = append(s.Networks, enginetest.Network{ID: strings.Repeat("1", 64), Name: "flannel", Driver: "bridge", IPAM: enginetest.IPAM{Config: []enginetest.Pool{{Subnet: "172.20.0.0/16"}}}})
	d := open(t, s)
	if _, err := Keep(t.Context(), d, wish()); err == nil || !strings.Contains(err.Error(), "was not made by flanneld") || !strings.Contains(err.Error(), "docker network rm flannel") {
		t.Errorf("got %v", err)
	}
	if err := Remove(t.Context(), d, "flannel"); err == nil || !strings.Contains(err.Error(), "was not made by flanneld") {
		t.Errorf("got %v", err)
	}
	if len(s.Changes) != 0 || len(s.Networks) != 2 {
		t.Errorf("changes: %q", s.Changes)
	}
}

func TestANetworkIsRemovedWhenItIsEmpty(t *testing.T) {
	s := enginetest.New(t, "1.41", "172.17.0.0/16")
	d := open(t, s)
	if err := Remove(t.Context(), d, "flannel"); !errors.Is(err, ErrAbsent) {
		t.Errorf("without any: %v", err)
	}
	if _, err := Keep(t.Context(), d, wish()); err != nil {
		t.Fatal(err)
	}
	s.Do(func() { s.Containers[s.Networks[1].ID] = []string{"a", "b", "c", "d", "e", "f"} })
	if err := Remove(t.Context(), d, "flannel"); err == nil || !strings.Contains(err.Error(), "a, b, c, d, 2 more") {
		t.Errorf("with containers: %v", err)
	}
	s.Do(func() { s.Containers = nil })
	if err := Remove(t.Context(), d, "flannel"); err != nil || len(s.Networks) != 1 {
		t.Errorf("got %v, %+v", err, s.Networks)
	}
}

// What keeps the command from its work is one line that says what to type.
func TestAnEngineThatDoesNotAnswerIsNamed(t *testing.T) {
	dir := t.TempDir()
	notSocket, closed := filepath.Join(dir, "file"), filepath.Join(dir, "closed")
	if err := os.WriteFile(notSocket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: closed})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	old, odd := enginetest.New(t, "1.40", "172.17.0.0/16"), enginetest.New(t, "", "172.17.0.0/16")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		host  string
		words []string
	}{
		"absent":   {t.Context(), "unix://" + dir + "/none", []string{dir + "/none", "systemctl start docker", "--docker-socket"}},
		"closed":   {t.Context(), "unix://" + closed, []string{closed, "systemctl start docker"}},
		"a file":   {t.Context(), "unix://" + notSocket, []string{notSocket, "--docker-socket"}},
		"old":      {t.Context(), "unix://" + old.Path, []string{"API 1.40", "1.41 (Docker 20.10)", "upgrade"}},
		"odd":      {t.Context(), "unix://" + odd.Path, []string{"no Docker engine", "--docker-socket"}},
		"tcp":      {t.Context(), "tcp://127.0.0.1:1", []string{"tcp://127.0.0.1:1", "did not answer"}},
		"too late": {canceled, "unix://" + odd.Path, []string{odd.Path}},
	} {
		d, err := Open(c.ctx, c.host)
		if err == nil {
			d.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		for _, word := range c.words {
			if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: no %q in %q", name, word, err)
			}
		}
	}
}

func TestAnEngineThatEndsInTheMiddleIsNamed(t *testing.T) {
	s := enginetest.New(t, "1.48", "172.17.0.0/16")
	d := open(t, s)
	s.Do(func() { s.Vanish = true })
	if _, err := Keep(t.Context(), d, wish()); err == nil || !strings.Contains(err.Error(), "did not answer") || !strings.Contains(err.Error(), "run this again") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	s.Do(func() { s.Vanish, s.Refuse = false, "no\nroom" })
	if _, err := Keep(t.Context(), d, wish()); err == nil || err.Error() != "Docker does not make network flannel: no room" {
		t.Errorf("got %v", err)
	}
	s.Do(func() { s.Refuse = "" })
	if kept, err := Keep(t.Context(), d, wish()); err != nil || !kept.Made {
		t.Errorf("got %+v, %v", kept, err)
	}
}

func TestHostsAreThoseOfDockersClient(t *testing.T) {
	for given, want := range map[string]string{
		"": "unix:///var/run/docker.sock", "/run/d.sock": "unix:///run/d.sock", "unix:///x": "unix:///x", "tcp://host:2375": "tcp://host:2375",
		"ssh://host": "", "docker.sock": "", "unix://": "", "tcp://": "", "npipe:////./pipe/x": "",
	} {
		if got, err := Host(given); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
}
