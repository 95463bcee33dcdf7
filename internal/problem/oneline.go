// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"strings"
	"unicode"
)

// maxLine is how much of a text OneLine keeps, in bytes.
const maxLine = 500

// OneLine makes one line of any text, such as one that came from another node.
// What is not printable becomes a blank. The line has at most 500 bytes.
func OneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= maxLine {
		return text
	}
	return strings.ToValidUTF8(text[:maxLine], "")
}
