// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/peers"
)

// sealedFake is a node of a sealed network.
type sealedFake struct {
	fake
	security control.Security
}

func (f *sealedFake) Status() control.Status {
	s := f.fake.Status()
	s.Security = f.security
	return s
}

func (f *sealedFake) Nodes() control.Nodes {
	all := f.fake.Nodes()
	all.Nodes[1].Sealed = control.NodeSealing{State: control.SealSession, Suite: "aes-256-gcm", Since: 61, Handshakes: 2, Rekeys: 1}
	all.Nodes[2].Sealed = control.NodeSealing{State: control.SealHandshaking, Waiting: 3}
	return all
}

func TestSessionsAreShown(t *testing.T) {
	dir := serve(t, &sealedFake{fake: fake{well: true}, security: control.Security{
		GossipSealed: true, DataSealed: true, KeyFile: "/etc/flanneld/key", Note: "packets are encrypted",
		Sealing: control.Sealing{Sessions: 1, Handshakes: 2, Rekeys: 1, Failed: 1, Waiting: 3, Dropped: 4, Rejected: map[string]uint64{"forged": 5}},
	}})
	for name, words := range map[string][]string{
		"status": {"gossip yes, data yes: packets are encrypted", "1, by 2 handshakes, 1 for a new key; 1 not answered",
			"packets that wait for one: 3, that waited in vain: 4", "handshakes refused: forged 5"},
		"nodes": {"SEALED", "aes-256-gcm 1m", "handshaking"},
	} {
		r := flanneld(t, nil, name, "--run-dir", dir)
		for _, word := range words {
			if r.status != statusOK || !strings.Contains(r.out, word) {
				t.Errorf("%s: status %d, no %q in\n%s", name, r.status, word, r.out)
			}
		}
	}
}

func TestTokenIsTheLineForTheNextHost(t *testing.T) {
	place := filepath.Join(t.TempDir(), "it's here")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := peers.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(place, "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := strings.ReplaceAll(file, "'", `'\''`)
	for _, c := range []struct {
		name     string
		security control.Security
		want     string // all of the output
		err      string
	}{
		{"sealed", control.Security{DataSealed: true, KeyFile: file}, " (umask 077; mkdir -p '" + filepath.Dir(shell) + "'; echo '" + key + "' >'" + shell + "')" +
			" && flanneld run --sealed --join 198.51.100.1 --key-file '" + shell + "'\n", ""},
		{"with a key", control.Security{KeyFile: file}, " (umask 077; mkdir -p '" + filepath.Dir(shell) + "'; echo '" + key + "' >'" + shell + "')" +
			" && flanneld run --join 198.51.100.1 --key-file '" + shell + "'\n", ""},
		{"open", control.Security{}, "", "no cluster key: on the next host type flanneld run --join 198.51.100.1"},
		{"lost key", control.Security{KeyFile: file + "2"}, "", "key file"},
	} {
		r := flanneld(t, nil, "token", "--run-dir", serve(t, &sealedFake{security: c.security}))
		if r.out != c.want || !strings.Contains(r.err, c.err) || (r.status == statusOK) != (c.err == "") {
			t.Errorf("%s: status %d, printed %q, error %q", c.name, r.status, r.out, r.err)
		}
		if c.err != "" && strings.Contains(r.err, key) {
			t.Errorf("%s: the key is in the error", c.name)
		}
	}
}
