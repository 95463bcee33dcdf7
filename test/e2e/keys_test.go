// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// newKey writes a fresh cluster key for the host and returns the file.
func newKey(t *testing.T, h *lab.Host, name string) string {
	t.Helper()
	path := filepath.Join(h.RunDir, name)
	if err := os.WriteFile(path, []byte(h.MustFlanneld("keygen")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClusterKeySealsTheGossip(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	key := newKey(t, h1, "key")
	// Frames that cross the switch are captured, and searched for names.
	capture := l.Switch.Capture(t, "br0", "port 8286")
	h1.Start("--key-file", key).WaitReady(ready)
	h2.Start("--key-file", key, "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	for _, h := range l.Hosts() {
		if !h.Status().Security.GossipSealed {
			t.Errorf("%s does not say that its gossip is sealed", h.NodeName)
		}
	}
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
	lab.Eventually(t, 20*time.Second, "gossip on the wire", func() error {
		return lab.Expect(len(capture.Bytes()) > 3000, "%d bytes", len(capture.Bytes()))
	})
	secret := strings.TrimSpace(read(t, key))
	wire := capture.Stop()
	for _, text := range []string{"host1", "host2", secret} {
		if bytes.Contains(wire, []byte(text)) {
			t.Errorf("%q is readable on the wire", text)
		}
	}
	for _, h := range l.Hosts() {
		if strings.Contains(h.Daemon.Log()+h.MustFlanneld("status", "-o", "json", "--exit-zero"), secret) {
			t.Errorf("the key is in the log or status of %s", h.NodeName)
		}
	}
}

func TestNodeWithoutTheKeyIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Host(), l.Host(), l.Host()
	h1.Start("--key-file", newKey(t, h1, "key")).WaitReady(ready)
	for _, c := range []struct {
		name string
		host *lab.Host
		args []string
	}{
		{"no key", h2, nil},
		{"another key", h3, []string{"--key-file", newKey(t, h3, "key")}},
	} {
		before := len(h1.Daemon.Log())
		d := c.host.Start(append(c.args, "--join", h1.Addr.String())...)
		d.WaitLog("key", ready)
		lab.Eventually(t, ready, "host1 to say why it refuses a node with "+c.name, func() error {
			said := h1.Daemon.Log()[before:]
			return lab.Expect(containsFold(said, "key") && strings.Contains(said, c.host.Addr.String()), "it says: %s", said)
		})
		lab.Eventually(t, ready, "the status of the one with "+c.name+" to say why it waits", func() error {
			status := c.host.MustFlanneld("status", "--exit-zero")
			_, waiting, _ := strings.Cut(status, "lease")
			waiting, _, _ = strings.Cut(waiting, "device")
			return lab.Expect(containsFold(waiting, "key"), "%s", status)
		})
		if c.host.SubnetFile() != nil {
			t.Errorf("with %s it has a subnet", c.name)
		}
	}
	// And the other way round: a node with a key at a network without one.
	plain, sealed := l.Host(), l.Host()
	plain.Start().WaitReady(ready)
	d := sealed.Start("--key-file", newKey(t, sealed, "key"), "--join", plain.Addr.String())
	d.WaitLog("key", ready)
	if nodes, err := h1.Nodes(); err != nil || len(nodes.Nodes) != 1 {
		t.Errorf("host1 has others in its table: %+v, %v", nodes, err)
	}
}

func TestKeyFilesThatCannotBeRightAreRefused(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	good := h.MustFlanneld("keygen")
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		words   []string
	}{
		"world-readable": {good, 0o644, []string{"600"}},
		"group-readable": {good, 0o640, []string{"600"}},
		"short":          {"c2hvcnQ=\n", 0o600, []string{"32", "flanneld keygen"}},
		"not-base64":     {"this is no key!\n", 0o600, []string{"base64"}},
		"empty":          {"", 0o600, []string{"flanneld keygen"}},
	} {
		path := filepath.Join(h.RunDir, name)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		refused(t, h, 1, []string{"--key-file", path}, append(c.words, path)...)
		if strings.Contains(h.Daemon.Log(), strings.TrimSpace(good)) {
			t.Errorf("%s: the key is in the log", name)
		}
	}
	refused(t, h, 1, []string{"--key-file", "/nonexistent/key"}, "/nonexistent/key")
	// flanneld waits for a missing underlay only if it has a key.
	h.Exec(t, "ip", "route", "del", "default")
	refused(t, h, 1, []string{"--key-file", "/nonexistent/key"}, "/nonexistent/key")
}

func TestHangupTakesOverANewKeyWithoutAGap(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Host(), l.Host(), l.Host()
	key := newKey(t, h1, "key")
	h1.Start("--key-file", key).WaitReady(ready)
	h2.Start("--key-file", key, "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	if err := os.WriteFile(key, []byte(h1.MustFlanneld("keygen")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*lab.Host{h1, h2} {
		before := len(h.Daemon.Log())
		h.Daemon.Signal(unix.SIGHUP)
		lab.Eventually(t, ready, h.NodeName+" to say that it has read the key", func() error {
			return lab.Expect(containsFold(h.Daemon.Log()[before:], "key"), "nothing said")
		})
	}
	// Only nodes with the new key can join now.
	h3.Start("--key-file", key, "--join", h2.Addr.String()).WaitReady(ready)
	l.WaitConverged(3)
	h1.Pod().Reachable(t, h3.Pod().Addr, 5*time.Second)
}

func TestBrokenKeyOnHangupLeavesTheOldOneInUse(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	key := newKey(t, h, "key")
	d := h.Start("--key-file", key).WaitReady(ready)
	good := read(t, key)
	if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Signal(unix.SIGHUP)
	d.WaitLog(key, ready)
	if err := os.WriteFile(key, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	h2 := l.Host()
	h2.Start("--key-file", key, "--join", h.Addr.String()).WaitReady(ready)
	if d.Ended() {
		t.Error("a broken key ended the daemon")
	}
}

func TestPublicAddressNeedsAKeyOrConsent(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	h.Exec(t, "ip", "address", "add", "198.18.7.7/24", "dev", "eth0")
	h.Exec(t, "ip", "address", "add", "8.9.10.11/24", "dev", "eth0")
	refused(t, h, 1, []string{"--iface", "8.9.10.11"}, "8.9.10.11", "--key-file", "--insecure")
	d := h.Start("--iface", "8.9.10.11", "--insecure").WaitReady(ready)
	d.WaitLog("key", ready)
	d.Stop()
	h.Start("--iface", "8.9.10.11", "--key-file", newKey(t, h, "key")).WaitReady(ready)
}
