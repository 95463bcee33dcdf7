// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable reports whether a text from outside may be shown and logged as it
// is. Such a text is valid UTF-8 of at most limit bytes, without control
// characters, line separators and invisible format characters.
func Printable(text string, limit int) bool {
	return len(text) <= limit && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}
