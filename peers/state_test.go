// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/peers/internal/statedir"
)

// settledHost runs a founding node until it has its lease, and stops it: its
// state directory is as it should be.
func settledHost(t *testing.T) (*host, netip.Prefix) {
	t.Helper()
	h, lease := founderHost(t)
	h.stop()
	return h, lease
}

func (h *host) stateFile(name string) string { return filepath.Join(h.config.StateDir, name) }

// spoil changes a state file.
func (h *host) spoil(name string, how func([]byte) []byte) {
	h.t.Helper()
	b, err := os.ReadFile(h.stateFile(name))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.stateFile(name), how(b), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func flip(b []byte) []byte     { b[len(b)/2] ^= 1; return b }
func truncate(b []byte) []byte { return b[:len(b)/2] }
func empty([]byte) []byte      { return nil }
func newer(b []byte) []byte    { b[11]++; return b }

func openError(t *testing.T, h *host) error {
	t.Helper()
	node, err := Open(h.config)
	if err == nil {
		_ = node.Close()
		t.Fatal("opened")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	return err
}

func TestSecondFlanneldOnOneStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	h, _ := founderHost(t)
	err := openError(t, h)
	if !errors.Is(err, ErrStateLocked) || !strings.Contains(err.Error(), h.config.StateDir) || !strings.Contains(err.Error(), "(process ") {
		t.Error(err)
	}
	h.stop()
	h.start()
	h.leased()
}

func TestCorruptLeaseIsAnErrorAndLeftInPlaceWithoutSeeds(t *testing.T) {
	t.Parallel()
	for what, how := range map[string]func([]byte) []byte{"flipped": flip, "truncated": truncate, "empty": empty} {
		h, _ := settledHost(t)
		h.spoil(leaseFile, how)
		before, _ := os.ReadFile(h.stateFile(leaseFile))
		err := openError(t, h)
		if !errors.Is(err, ErrStateCorrupt) || !strings.Contains(err.Error(), h.stateFile(leaseFile)) || !strings.Contains(err.Error(), "--join") {
			t.Errorf("%s: %v", what, err)
		}
		if after, err := os.ReadFile(h.stateFile(leaseFile)); err != nil || string(after) != string(before) {
			t.Errorf("%s: the file was changed (%v)", what, err)
		}
	}
}

func TestCorruptLeaseIsKeptAsideAndLearnedAgainWithSeeds(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	second.stop()
	second.spoil(leaseFile, flip)
	spoiled, _ := os.ReadFile(second.stateFile(leaseFile))
	second.start()
	if again := second.leased(); again != lease {
		t.Errorf("lease %s, then %s", lease, again)
	}
	kept, err := os.ReadFile(second.stateFile(leaseFile + ".corrupt-1"))
	if err != nil || string(kept) != string(spoiled) {
		t.Errorf("kept aside: %v", err)
	}
	second.logs("set aside", "lease.corrupt-1")
}

func TestMissingLeaseBesideANodeTableFoundsNoSecondNetwork(t *testing.T) {
	t.Parallel()
	h, _ := settledHost(t)
	if err := os.Remove(h.stateFile(leaseFile)); err != nil {
		t.Fatal(err)
	}
	if err := openError(t, h); !errors.Is(err, ErrStateCorrupt) {
		t.Error(err)
	}
}

func TestCorruptNodeTableIsKeptAsideAndTheLeaseStays(t *testing.T) {
	t.Parallel()
	for what, how := range map[string]func([]byte) []byte{
		"flipped": flip, "truncated": truncate, "empty": empty,
		"of another content": func([]byte) []byte { return statedir.TableFile.Encode([]byte("what is this")) },
	} {
		h, lease := settledHost(t)
		h.spoil(tableFile, how)
		h.start()
		if again := h.leased(); again != lease {
			t.Errorf("%s: lease %s, then %s", what, lease, again)
		}
		h.logs("nodes.corrupt-1", "until one gets in touch")
		h.stop()
		h.spoil(tableFile, how)
		h.start()
		h.leased()
		h.logs("nodes.corrupt-2")
	}
}

func TestNewerStateIsAnErrorAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{leaseFile, tableFile} {
		h, lease := settledHost(t)
		h.spoil(name, newer)
		before, _ := os.ReadFile(h.stateFile(name))
		for _, join := range [][]string{nil, {"127.41.0.1"}} {
			h.config.Join = join
			err := openError(t, h)
			if !errors.Is(err, ErrStateNewer) || !strings.Contains(err.Error(), h.stateFile(name)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if after, _ := os.ReadFile(h.stateFile(name)); string(after) != string(before) {
			t.Errorf("%s was changed", name)
		}
		h.spoil(name, func(b []byte) []byte { b[11]--; return b })
		h.config.Join = nil
		h.start()
		if again := h.leased(); again != lease {
			t.Errorf("lease %s, then %s", lease, again)
		}
	}
}

func TestCorruptIdentityIsAnErrorAndLeftInPlace(t *testing.T) {
	t.Parallel()
	h, _ := settledHost(t)
	whole, err := os.ReadFile(h.stateFile(identityFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, how := range map[string]func([]byte) []byte{"truncated": truncate, "flipped": flipKey, "emptied": empty} {
		h.spoil(identityFile, func([]byte) []byte { return how(append([]byte(nil), whole...)) })
		if err := openError(t, h); !errors.Is(err, ErrStateCorrupt) || !strings.Contains(err.Error(), h.stateFile(identityFile)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// flipKey makes another key of an identity, as valid as the first.
func flipKey(b []byte) []byte {
	end := bytes.LastIndex(b, []byte("=\n-----END"))
	if end < 0 {
		end = bytes.LastIndex(b, []byte("\n-----END"))
	}
	if b[end-8] == 'A' {
		b[end-8] = 'B'
	} else {
		b[end-8] = 'A'
	}
	return b
}

func TestUnusableKeyFileIsAnError(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, err := range []error{openError(t, newHost(t, sealed(missing))), CheckKey(missing)} {
		if !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), missing) {
			t.Error(err)
		}
	}
	if err := CheckKey(keyFile(t)); err != nil {
		t.Error(err)
	}
}

func TestStateIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	h, _ := settledHost(t)
	if err := os.Chmod(h.config.StateDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.stateFile(identityFile), 0o644); err != nil {
		t.Fatal(err)
	}
	h.start()
	h.leased()
	for path, want := range map[string]os.FileMode{
		h.config.StateDir: 0o700, h.stateFile(identityFile): 0o600, h.stateFile(leaseFile): 0o600, h.stateFile(tableFile): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestInterruptedWritesAreClearedAway(t *testing.T) {
	t.Parallel()
	h, lease := settledHost(t)
	left := []string{".lease123", ".nodes9876543210", ".identity1", ".probe77"}
	for _, name := range left {
		if err := os.WriteFile(h.stateFile(name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(h.stateFile(".leases"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	if again := h.leased(); again != lease {
		t.Errorf("lease %s, then %s", lease, again)
	}
	for _, name := range left {
		if _, err := os.Stat(h.stateFile(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(h.stateFile(".leases")); err != nil {
		t.Errorf("a file that is not ours: %v", err)
	}
}

func TestUnusableStateDirectoryIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/flanneld"} {
		h := newHost(t, func(c *Config) { c.StateDir = dir })
		if err := openError(t, h); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "--state-dir") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A state directory that stops working while the node runs: no node gets a
// promise that is not on disk.
func TestNothingIsPromisedWhileTheDiskFails(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	away := first.config.StateDir + ".away"
	if err := os.Rename(first.config.StateDir, away); err != nil {
		t.Fatal(err)
	}
	second := newHost(t, joining(first))
	second.start()
	first.logs("state cannot be written")
	s := second.until("it asks for a promise in vain", func(s *Snapshot) bool { return strings.Contains(s.Waiting, "0 of the 1 lease holders promised") })
	if s.Lease != Claiming {
		t.Errorf("second: %v", s.Lease)
	}
	first.until("it says that the disk fails", func(s *Snapshot) bool {
		return strings.Contains(s.Unwritten, first.config.StateDir) && s.Waiting == s.Unwritten
	})
	if n := strings.Count(first.log.String(), "state cannot be written"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if err := os.Rename(away, first.config.StateDir); err != nil {
		t.Fatal(err)
	}
	first.logs("state can be written again")
	first.until("it says that the disk works", func(s *Snapshot) bool { return s.Unwritten == "" })
	second.leased()
}
