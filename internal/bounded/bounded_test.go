// SPDX-License-Identifier: Apache-2.0

package bounded

import (
	"bytes"
	"io"
	"testing"
)

func TestAWriterKeepsTheBeginning(t *testing.T) {
	for _, c := range []struct {
		limit  int
		writes []string
		want   string
		full   bool
	}{
		{4, nil, "", false},
		{4, []string{"ab", "", "cd"}, "abcd", false},
		{4, []string{"ab", "cde"}, "abcd", true},
		{4, []string{"abcd", "e", "f"}, "abcd", true},
		{0, []string{""}, "", false},
		{0, []string{"a"}, "", true},
	} {
		w := Writer{Limit: c.limit}
		for _, text := range c.writes {
			if n, err := io.WriteString(&w, text); n != len(text) || err != nil {
				t.Errorf("%q to %d bytes: took %d, %v", text, c.limit, n, err)
			}
		}
		if string(w.Bytes()) != c.want || w.Full() != c.full {
			t.Errorf("%q to %d bytes: kept %q, full %t", c.writes, c.limit, w.Bytes(), w.Full())
		}
	}
}

// What does not fit takes no memory.
func TestAWriterDoesNotGrow(t *testing.T) {
	w := Writer{Limit: 1 << 10}
	for range 1 << 10 {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<10))
	}
	if len(w.Bytes()) != w.Limit || cap(w.Bytes()) > 2*w.Limit {
		t.Errorf("%d bytes in %d", len(w.Bytes()), cap(w.Bytes()))
	}
}
