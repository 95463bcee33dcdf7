// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"flanneld/peers/internal/statedir"
)

// What testdata/state-0.1 has: host2 of three, as version 0.1 left it.
var (
	stateOf01  = filepath.Join("testdata", "state-0.1")
	subnetOf01 = netip.MustParsePrefix("10.244.238.0/24")
)

// copyState puts the files of a state directory into a new one.
func copyState(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range filesOf(t, from) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// filesOf reads a state directory, without the lock.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != "lock" {
			files[e.Name()] = string(b)
		}
	}
	return files
}

func TestResetOfTheLastVersionsDirectoryKeepsIdentityAndSubnet(t *testing.T) {
	t.Parallel()
	dir := copyState(t, stateOf01)
	before := filesOf(t, dir)
	r, err := ResetState(dir, nil)
	if err != nil || r.Subnet != subnetOf01 || r.Others != 2 || !r.WasInside || r.Prefix != DefaultNetwork || len(r.SetAside) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	after := filesOf(t, dir)
	if after[identityFile] != before[identityFile] || len(after) != 2 {
		t.Errorf("left %v", slices.Sorted(maps.Keys(after)))
	}
	h := newHost(t, func(c *Config) { c.StateDir = dir })
	h.start()
	if got := h.leased(); got != subnetOf01 {
		t.Errorf("the next start holds %s, want %s", got, subnetOf01)
	}
	s := h.node.Snapshot()
	if s.Self.ID != r.Node || s.Network.ID() == r.Network || len(s.Nodes) != 1 {
		t.Errorf("node %s in network %s with %d nodes; reset said %+v", s.Self.ID, s.Network.ID(), len(s.Nodes), r)
	}
	h.stop()
}

func TestResetMakesTheBestOfDamagedFiles(t *testing.T) {
	t.Parallel()
	missing := func([]byte) []byte { return []byte("remove") }
	for _, c := range []struct {
		what, file string
		how        func([]byte) []byte
		aside      bool
		others     int // the lease file knows of one, the table of both
	}{
		{"flipped lease", leaseFile, flip, true, 2}, {"truncated lease", leaseFile, truncate, true, 2}, {"empty lease", leaseFile, empty, true, 2},
		{"missing lease", leaseFile, missing, false, 2},
		{"flipped table", tableFile, flip, true, 1}, {"missing table", tableFile, missing, false, 1},
		{"lease with foreign content", leaseFile, func([]byte) []byte { return statedir.LeaseFile.Encode([]byte("\x01")) }, true, 2},
		{"table with foreign content", tableFile, func([]byte) []byte { return statedir.TableFile.Encode([]byte("\x01")) }, false, 1},
	} {
		dir := copyState(t, stateOf01)
		path := filepath.Join(dir, c.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b = c.how(b); string(b) == "remove" {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := ResetState(dir, nil)
		if err != nil || r.Subnet != subnetOf01 || r.Others != c.others || (len(r.SetAside) == 1) != c.aside {
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
		h := newHost(t, func(c *Config) { c.StateDir = dir })
		h.start()
		if got := h.leased(); got != subnetOf01 {
			t.Errorf("%s: the next start holds %s", c.what, got)
		}
		h.stop()
	}
}

// muchNewer gives a state file a version that no flanneld has used.
func muchNewer(b []byte) []byte { b[8] = 0x7f; return b }

func TestResetRefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	spoil := func(name string, how func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), how(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		kind  error
		words string
	}{
		"newer lease":      {spoil(leaseFile, muchNewer), ErrStateNewer, "newer flanneld"},
		"newer table":      {spoil(tableFile, muchNewer), ErrStateNewer, "newer flanneld"},
		"corrupt identity": {spoil(identityFile, truncate), ErrStateCorrupt, identityFile},
		"no identity":      {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, identityFile)) }, ErrStateCorrupt, "missing"},
		"in use": {func(t *testing.T, dir string) {
			d, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
		}, ErrStateLocked, "in use"},
		"a directory in the way": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "."+leaseFile+"1") // what an interrupted write would have left
			if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, ErrState, "state directory"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := copyState(t, stateOf01)
			c.spoil(t, dir)
			before := stateFilesOf(t, dir)
			_, err := ResetState(dir, nil)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if after := stateFilesOf(t, dir); !maps.Equal(before, after) {
				t.Errorf("changed from %v to %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

// stateFilesOf reads the three state files that are there.
func stateFilesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{identityFile, leaseFile, tableFile} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			files[name] = string(b)
		}
	}
	return files
}

// TestResetThatCannotWriteChangesNothing: the disk is full, or read-only, at
// any of its writes.
func TestResetThatCannotWriteChangesNothing(t *testing.T) {
	t.Parallel()
	for _, why := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		dir := copyState(t, stateOf01)
		d, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		before := filesOf(t, dir)
		d.Replace = func(path string, _ []byte) error { return &os.PathError{Op: "write", Path: path, Err: why} }
		if _, err := reset(d); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v: %v", why, err)
		}
		if after := filesOf(t, dir); !maps.Equal(before, after) {
			t.Errorf("%v: left %v", why, slices.Sorted(maps.Keys(after)))
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err := ResetState(dir, nil); err != nil || r.Subnet != subnetOf01 {
			t.Errorf("%v: then %+v, %v", why, r, err)
		}
	}
}

func TestResetWithoutStateDoesNothing(t *testing.T) {
	t.Parallel()
	empty, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
	for _, dir := range []string{empty, none} {
		if r, err := ResetState(dir, nil); err != nil || !r.Node.IsZero() {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if _, err := os.Stat(none); err == nil || len(filesOf(t, empty)) > 0 {
		t.Error("something was made")
	}
}

// TestHostsThatAreAllResetHaveTheirSubnetsAgain: in whatever order they start.
func TestHostsThatAreAllResetHaveTheirSubnetsAgain(t *testing.T) {
	t.Parallel()
	first := newHost(t, nil)
	all := []*host{first, newHost(t, joining(first)), newHost(t, joining(first))}
	var leases []netip.Prefix
	for _, h := range all {
		h.start()
		leases = append(leases, h.leased())
	}
	for _, h := range all[1:] {
		first.sees(h, Alive)
	}
	old := first.node.Snapshot().Network.ID()
	for i, h := range all {
		h.stop()
		if r, err := ResetState(h.config.StateDir, nil); err != nil || r.Subnet != leases[i] {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	for _, i := range []int{2, 0, 1} {
		all[i].start()
	}
	for i, h := range all {
		if got := h.leased(); got != leases[i] {
			t.Errorf("host %d has %s, had %s", i, got, leases[i])
		}
		if h.node.Snapshot().Network.ID() == old {
			t.Error("it is the network that was given up")
		}
	}
	for _, h := range all {
		h.stop()
	}
}

// TestAHostThatAloneIsResetJoinsItsNetworkAgain: with the subnet it had.
func TestAHostThatAloneIsResetJoinsItsNetworkAgain(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	second.stop()
	if _, err := ResetState(second.config.StateDir, nil); err != nil {
		t.Fatal(err)
	}
	second.start()
	if got := second.leased(); got != lease {
		t.Errorf("it has %s, had %s", got, lease)
	}
	if a, b := first.node.Snapshot().Network.ID(), second.node.Snapshot().Network.ID(); a != b {
		t.Errorf("networks %s and %s", a, b)
	}
	second.stop()
	first.stop()
}

// TestAHostThatIsResetAndFoundsAloneIsApart: the others say that another
// network answers where it was, and keep their leases.
func TestAHostThatIsResetAndFoundsAloneIsApart(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, lease := joinedHost(t, first)
	first.seesHolding(second, lease)
	first.stop()
	if _, err := ResetState(first.config.StateDir, nil); err != nil {
		t.Fatal(err)
	}
	first.start()
	first.leased()
	second.logs("another network answers at the address of a node of this one")
	if s := second.node.Snapshot(); s.Lease != Confirmed || s.Self.Lease.Prefix != lease {
		t.Errorf("the other host has %s, %s", s.Self.Lease.Prefix, s.Lease)
	}
	second.stop()
	first.stop()
}
