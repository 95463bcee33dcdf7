// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"unicode"
)

// maxLabel bounds the value of a label, in bytes. A node's name may come from
// a stranger.
const maxLabel = 128

// labelText makes a value of a label: printable UTF-8, and not long.
func labelText(text string) string {
	plain := func() bool {
		for i := range len(text) {
			if text[i] < ' ' || text[i] > '~' {
				return false
			}
		}
		return len(text) <= maxLabel
	}
	if plain() {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, text)
	if len(text) > maxLabel {
		text = strings.ToValidUTF8(text[:maxLabel], "")
	}
	return text
}
