// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"os"
	"strings"
	"testing"

	"flanneld/peers/internal/statedir"
)

func sealed(path string) func(*Config) {
	return func(c *Config) { c.KeyFile = path }
}

// refusedOnBothSides starts a host and one that joins it, and
// expects both logs to say why they do not come together.
func refusedOnBothSides(t *testing.T, first, second *host, says, said string) {
	t.Helper()
	first.start()
	first.leased()
	joining(first)(&second.config)
	second.start()
	second.logs("seed="+first.gossip(), said)
	first.logs(says, "from="+second.config.Advertise.String())
	s := second.until("it says what it waits for", func(s *Snapshot) bool { return strings.Contains(s.Waiting, said) })
	if s.Lease != Joining || s.Network.Prefix.IsValid() {
		t.Errorf("%v in network %v", s.Lease, s.Network)
	}
	if n := len(first.node.Snapshot().Nodes); n != 1 {
		t.Errorf("the first node knows %d nodes", n)
	}
}

func TestNodeWithoutTheKeyIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	first, second := newHost(t, sealed(keyFile(t))), newHost(t, nil)
	refusedOnBothSides(t, first, second, "refused a node that has no cluster key", "its network is sealed")
}

func TestNodeWithAnotherKeyIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	first, second := newHost(t, sealed(keyFile(t))), newHost(t, sealed(keyFile(t)))
	refusedOnBothSides(t, first, second, "refused a node that has another cluster key", "it has another cluster key")
}

func TestNodeWithAKeyIsRefusedByAnOpenNetwork(t *testing.T) {
	t.Parallel()
	first, second := newHost(t, nil), newHost(t, sealed(keyFile(t)))
	refusedOnBothSides(t, first, second, "refused a node that has a cluster key", "it has no cluster key")
}

func TestKeyIsExchangedWithoutInterruption(t *testing.T) {
	t.Parallel()
	path, next := keyFile(t), keyFile(t)
	first := newHost(t, sealed(path))
	first.start()
	first.leased()
	second := newHost(t, func(c *Config) { joining(first)(c); c.KeyFile = path })
	second.start()
	second.leased()
	if !second.node.Snapshot().Sealed {
		t.Error("not sealed")
	}
	key, err := os.ReadFile(next)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	// Between the two reloads one node seals with a key that the other does not
	// have yet; then both have both.
	for _, h := range []*host{first, second} {
		if err := h.node.ReloadKey(); err != nil {
			t.Fatal(err)
		}
	}
	first.sees(second, Alive)
	third := newHost(t, func(c *Config) { joining(first)(c); c.KeyFile = next })
	third.start()
	third.leased()
	second.sees(third, Alive)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := first.node.ReloadKey(); err == nil {
		t.Error("a key file others can read was taken")
	}
}

func TestKeyIsNowhereInTheLog(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	h := newHost(t, sealed(path))
	h.start()
	h.leased()
	h.stop()
	key, err := statedir.ReadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.config.Logger.Info("printed", "key", key, "pointer", &key)
	for _, secret := range []string{strings.TrimSpace(string(text)), string(key[:])} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("the key is in the log")
		}
	}
	entries, err := os.ReadDir(h.config.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(h.config.StateDir + "/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), string(key[:])) {
			t.Errorf("the key is in %s", e.Name())
		}
	}
}
