// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestOneLineKeepsWhatCanBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "a\nb": "a b", "a\x00b\x1b[2J": "a b [2J", "\xff\xfex": "  x", "z\u202egnp": "z gnp", "Grüße": "Grüße",
	} {
		if got := OneLine(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("plain")
	f.Add("a\nb\x00\xff")
	f.Add(strings.Repeat("ß", maxLine))
	f.Fuzz(func(t *testing.T, text string) {
		got := OneLine(text)
		if len(got) > maxLine || !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
