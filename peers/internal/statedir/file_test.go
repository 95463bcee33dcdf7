// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"log/slog"
	"os"
	"testing"

	"flanneld/peers/internal/core"
)

// newer gives a state file the next version.
func newer(b []byte) []byte { b[11]++; return b }

func TestStateFileIsReadBackOrRefused(t *testing.T) {
	content := []byte("what the core wants kept")
	whole := LeaseFile.Encode(content)
	if got, err := LeaseFile.decode(whole); err != nil || string(got) != string(content) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := TableFile.decode(whole); err == nil {
		t.Error("one file was taken for the other")
	}
	for n := range whole {
		if _, err := LeaseFile.decode(whole[:n]); err == nil {
			t.Errorf("the first %d bytes were taken for the whole", n)
		}
		b := append([]byte(nil), whole...)
		b[n] ^= 0x20
		if _, err := LeaseFile.decode(b); err == nil {
			t.Errorf("a change of byte %d was not noticed", n)
		}
	}
}

func FuzzStateFile(f *testing.F) {
	f.Add(LeaseFile.Encode(nil))
	f.Add(LeaseFile.Encode([]byte("content")))
	f.Add(newer(LeaseFile.Encode([]byte("content"))))
	f.Add([]byte("fld-leas"))
	f.Fuzz(func(t *testing.T, b []byte) {
		content, err := LeaseFile.decode(b)
		if err != nil {
			if content != nil {
				t.Fatal("an error and a content")
			}
			return
		}
		if string(LeaseFile.Encode(content)) != string(b) {
			t.Fatal("another file has the same content")
		}
	})
}

// FuzzStateDirectory reads any bytes as the files of a node: there is an
// identity afterwards, or an error.
func FuzzStateDirectory(f *testing.F) {
	f.Add([]byte("lease"), []byte("nodes"), []byte("identity"), true)
	f.Add(LeaseFile.Encode([]byte{0xa0}), TableFile.Encode([]byte{0xa0}), []byte(nil), false)
	f.Fuzz(func(t *testing.T, lease, nodes, identity []byte, joining bool) {
		d := &Dir{path: t.TempDir(), log: slog.New(slog.DiscardHandler), Replace: ReplaceFile}
		for name, b := range map[string][]byte{leaseName: lease, tableName: nodes, identityName: identity} {
			if err := os.WriteFile(d.file(name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if len(identity) == 0 {
			if err := os.Remove(d.file(identityName)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := d.Load(joining, func(lease []byte) error {
			_, err := core.Peek(lease)
			return err
		})
		if err == nil && len(r.Identity.Key) == 0 {
			t.Fatal("no identity and no error")
		}
	})
}
