// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSuiteIsTheFastestOfBoth(t *testing.T) {
	aes, chacha := []Suite{AESGCM, ChaChaPoly}, []Suite{ChaChaPoly, AESGCM}
	for _, c := range []struct {
		ours, theirs []Suite
		want         Suite
	}{
		{aes, aes, AESGCM},
		{aes, chacha, ChaChaPoly},
		{chacha, aes, ChaChaPoly},
		{chacha, chacha, ChaChaPoly},
		{aes, nil, ChaChaPoly},
		{[]Suite{AESGCM}, chacha, AESGCM},
		{aes, []Suite{ChaChaPoly}, ChaChaPoly},
		{chacha, []Suite{AESGCM}, AESGCM},
	} {
		if got := choose(c.ours, c.theirs); got != c.want {
			t.Errorf("choose(%v, %v) is %v, want %v", c.ours, c.theirs, got, c.want)
		}
	}
	if p := Preferred(); len(p) != 2 || p[0] == p[1] || !p[0].known() || !p[1].known() {
		t.Errorf("this host prefers %v", p)
	}
}

func TestNodeRefusesWhatItCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no lanes":       func(c *Config) { c.Lanes = 0 },
		"too many lanes": func(c *Config) { c.Lanes = MaxLanes + 1 },
		"no cluster key": func(c *Config) { c.Cluster = nil },
		"unknown suite":  func(c *Config) { c.Suites = []Suite{3} },
	} {
		cfg := Config{Lanes: 1, Cluster: clusterA}
		change(&cfg)
		if n, err := New(cfg); err == nil || n != nil {
			t.Errorf("%s: no error", name)
		}
	}
	n, err := New(Config{Lanes: 1, Cluster: clusterA})
	if err != nil {
		t.Fatal(err)
	}
	if n.SetCluster() == nil {
		t.Error("a node without cluster key")
	}
}

func TestPrivateKeyIsNeverShown(t *testing.T) {
	var key PrivateKey
	if _, err := rand.Read(key[:]); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
	for _, text := range []string{fmt.Sprintf("%v %s %x %d %+v %#v %q", key, key, key, key, key, key, key), key.String(), key.GoString(), log.String()} {
		if !strings.Contains(text, "redacted") || strings.Contains(text, fmt.Sprintf("%x", key[:4])) || strings.Contains(text, fmt.Sprint(key[0], key[1])) {
			t.Errorf("the key shows in %q", text)
		}
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasons {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d is %q", r, name)
		}
		seen[r.String()] = true
	}
}
