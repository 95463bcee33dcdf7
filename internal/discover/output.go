// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how much of a text from outside is shown, in runes.
const longest = 60

// parseOutput reads addresses, one or more a line. It names a word that cannot
// be one. What remains to be checked is checked where it is joined.
func parseOutput(text string) ([]string, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, fmt.Errorf("the command printed nothing: %w", errNone)
	}
	words = words[:min(len(words), maxSeeds)]
	for _, w := range words {
		if !isAddress(w) {
			return nil, fmt.Errorf("the command printed %q, which is no HOST or HOST:PORT", shortened(w))
		}
	}
	return words, nil
}

// isAddress reports whether a word has the characters of host[:port].
func isAddress(word string) bool {
	return len(word) <= 260 && strings.Trim(word, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_:") == ""
}

// shortened is a text for a message: printable, on one line, and not long.
func shortened(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "..."
	}
	return text
}
