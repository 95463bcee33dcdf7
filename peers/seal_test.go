// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// inSealedNetwork makes a configuration of a network in which packets are
// sealed.
func inSealedNetwork(path string) func(*Config) {
	return func(c *Config) { c.KeyFile, c.Sealed = path, true }
}

func TestModeIsPartOfTheNetworksIdentity(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	for _, c := range []struct {
		name          string
		founds, joins func(*Config)
		says          string
	}{
		{"sealed joins plain", sealed(path), inSealedNetwork(path), "--sealed: the network to join is not sealed"},
		{"plain joins sealed", inSealedNetwork(path), sealed(path), "the network is sealed: give --sealed"},
	} {
		first := newHost(t, c.founds)
		first.start()
		first.leased()
		second := newHost(t, func(config *Config) { joining(first)(config); c.joins(config) })
		second.start()
		if err := second.wait(); !errors.Is(err, ErrNetworkMismatch) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestModeIsRememberedOnDisk(t *testing.T) {
	t.Parallel()
	h := newHost(t, inSealedNetwork(keyFile(t)))
	h.start()
	h.leased()
	id := h.node.Snapshot().Network.ID()
	h.stop()
	h.config.Sealed = false
	h.start()
	if err := h.wait(); !errors.Is(err, ErrNetworkMismatch) {
		t.Errorf("without --sealed: %v", err)
	}
	h.config.Sealed = true
	h.start()
	h.leased()
	if n := h.node.Snapshot().Network; !n.Sealed || n.ID() != id {
		t.Errorf("it was network %v, now %+v", id, n)
	}
}

func TestSealingKeyIsAnnouncedAndOutlivesRestarts(t *testing.T) {
	t.Parallel()
	path := keyFile(t)
	first := newHost(t, inSealedNetwork(path))
	first.start()
	first.leased()
	second := newHost(t, func(c *Config) { joining(first)(c); inSealedNetwork(path)(c) })
	second.start()
	second.leased()
	first.sees(second, Alive)
	public := publicOf(t, second)
	if got := first.node.Snapshot().NodesByID()[second.node.Snapshot().Self.ID].SealKey; !bytes.Equal(got, public) {
		t.Errorf("the first node knows the key %x, want %x", got, public)
	}
	if bytes.Equal(public, publicOf(t, first)) {
		t.Error("two nodes have one key")
	}
	second.stop()
	second.start()
	if again := publicOf(t, second); !bytes.Equal(public, again) {
		t.Errorf("another key after a restart: %x, then %x", public, again)
	}
}

// publicOf is the public half of a node's sealing secret.
func publicOf(t *testing.T, h *host) []byte {
	t.Helper()
	secrets, err := h.node.SealSecrets()
	if err != nil || len(secrets.Cluster) != 1 {
		t.Fatalf("%d cluster keys, %v", len(secrets.Cluster), err)
	}
	private, err := ecdh.X25519().NewPrivateKey(secrets.Private[:])
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", secrets, secrets, secrets, secrets.Private); strings.Contains(text, fmt.Sprintf("%x", secrets.Private[:4])) ||
		!strings.Contains(text, "redacted") {
		t.Errorf("a secret prints as %s", text)
	}
	return private.PublicKey().Bytes()
}

func TestOpenNetworkHasNoSealingKey(t *testing.T) {
	t.Parallel()
	h, _ := founderHost(t)
	if _, err := h.node.SealSecrets(); err == nil {
		t.Error("a node of an open network has secrets")
	}
	if key := h.node.Snapshot().Self.SealKey; len(key) != 0 {
		t.Errorf("it announces the key %x", key)
	}
	if _, err := Open(Config{StateDir: t.TempDir(), Advertise: h.config.Advertise, DataPort: 1, Sealed: true}); !errors.Is(err, ErrConfig) {
		t.Errorf("a sealed network without a cluster key: %v", err)
	}
}
