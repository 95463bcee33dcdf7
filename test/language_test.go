// SPDX-License-Identifier: Apache-2.0

package test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const longSentence = 25 // words; a longer one counts as long

// A habit is a group of words that make texts hard to read where they are
// frequent.
type habit struct {
	name    string
	pattern *regexp.Regexp
	instead string
}

var habits = []habit{
	{"who", words(`who|whom|whoever|whose`), "a program or a node is not a person"},
	{"nobody", words(`nobody|somebody|anybody|everybody`), "name the node, the program or the user"},
	{"of it", words(`of (it|them|which)`), "use a short noun phrase, or split the sentence"},
	{"those that", words(`those that|of those`), "name the things"},
}

// banned are constructions that no text has.
var banned = []habit{
	{"whether", words(`(says?|tells?) whether`), "the form is: reports whether"},
	{"want", words(`for want of|of whatever|by right|be it (a|an|the)`), "say it with a verb"},
	{"causative", words(`has (a|an|the|its|each|every) \w+ be`), "say what the function does"},
	{"taken for", words(`(takes|took) (itself|oneself|\w+) for (a|an|the)`), "say: considers, mistakes"},
}

func words(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(` + pattern + `)\b`)
}

// limits of one room. Rates are occurrences per 1,000 words.
type limits struct {
	habit  float64 // for each group of words
	long   float64 // % of sentences that may be long
	wide   int     // lines that may be too wide
	banned int     // constructions to avoid that may be left
}

// goal holds for every room that is not listed in exceptions.
var goal = limits{habit: 0.5, long: 3}

// exceptions are rooms whose texts are still being rewritten.
var exceptions = map[string]limits{}

// A tally is what was counted in one room.
type tally struct {
	words, sentences, long int
	habits                 map[string][]string // where each group occurs
	banned, wide           []string
	longest                []string
}

func (c *tally) add(p prose) {
	if c.habits == nil {
		c.habits = map[string][]string{}
	}
	for _, line := range p.wide {
		c.wide = append(c.wide, fmt.Sprintf("%s:%d", p.file, line))
	}
	for _, passage := range p.passages {
		found := func(hit string) string {
			return fmt.Sprintf("%s:%d %q", p.file, passage.line, hit)
		}
		for _, h := range habits {
			for _, hit := range h.pattern.FindAllString(passage.text, -1) {
				c.habits[h.name] = append(c.habits[h.name], found(hit))
			}
		}
		for _, h := range banned {
			for _, hit := range h.pattern.FindAllString(passage.text, -1) {
				c.banned = append(c.banned, found(hit)+": "+h.instead)
			}
		}
		if passage.literal {
			continue
		}
		c.words += countWords(passage.text)
		for _, sentence := range sentences(passage.text) {
			c.sentences++
			if n := countWords(sentence); n > longSentence {
				c.long++
				c.longest = append(c.longest, found(fmt.Sprintf("%d words: %.60s", n, sentence)))
			}
		}
	}
}

// broken lists which limits a room exceeds, each with the places.
func (c *tally) broken(l limits) (list []string) {
	places := func(what string, at []string) {
		list = append(list, what+"\n\t"+strings.Join(at, "\n\t"))
	}
	for _, h := range habits {
		// One occurrence is no habit, however short the text.
		if rate := c.rate(h.name); rate > l.habit && len(c.habits[h.name]) > 1 {
			places(fmt.Sprintf("%q: %.2f per 1,000 words, at most %.1f: %s", h.name, rate, l.habit, h.instead), c.habits[h.name])
		}
	}
	if n := len(c.banned); n > l.banned {
		places(fmt.Sprintf("%d constructions to avoid, at most %d", n, l.banned), c.banned)
	}
	if n := len(c.wide); n > l.wide {
		places(fmt.Sprintf("%d lines too wide, at most %d (comments %d, Markdown %d, tables %d columns)",
			n, l.wide, commentWidth, markdownWidth, tableWidth), c.wide)
	}
	if share := c.longShare(); share > l.long {
		places(fmt.Sprintf("%.1f %% of sentences have more than %d words, at most %.1f %%", share, longSentence, l.long), c.longest)
	}
	return list
}

// rate is the occurrences of a group per 1,000 words.
func (c *tally) rate(name string) float64 {
	if c.words == 0 {
		return 0
	}
	return 1000 * float64(len(c.habits[name])) / float64(c.words)
}

func (c *tally) longShare() float64 {
	if c.sentences == 0 {
		return 0
	}
	return 100 * float64(c.long) / float64(c.sentences)
}

// countWords counts what has a letter or a digit.
func countWords(text string) (n int) {
	for _, word := range strings.Fields(text) {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			n++
		}
	}
	return n
}

var sentenceEnd = regexp.MustCompile(`[.!?:][)*_]*\s+`)

// sentences splits a passage. A colon ends a sentence, too.
func sentences(text string) (list []string) {
	for _, abbreviation := range []string{"e.g.", "i.e.", "etc.", "cf.", "vs."} {
		text = strings.ReplaceAll(text, abbreviation+" ", strings.TrimSuffix(abbreviation, ".")+" ")
	}
	for {
		at := sentenceEnd.FindStringIndex(text)
		if at == nil {
			return append(list, text)
		}
		list, text = append(list, text[:at[1]]), text[at[1]:]
	}
}

// TestTextsAreInPlainEnglish counts habits, long sentences and wide lines in
// comments and documents. `go test -v -run PlainEnglish ./test` prints counts.
func TestTextsAreInPlainEnglish(t *testing.T) {
	rooms := map[string]*tally{}
	for _, p := range allProse(t) {
		name := room(p.file)
		if rooms[name] == nil {
			rooms[name] = &tally{}
		}
		rooms[name].add(p)
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		c, l := rooms[name], goal
		if exception, ok := exceptions[name]; ok {
			l = exception
		}
		t.Logf("%-26s %6d words; who %.2f, nobody %.2f, of it %.2f, those that %.2f; long %.1f %%; wide %d; banned %d", name, c.words,
			c.rate("who"), c.rate("nobody"), c.rate("of it"), c.rate("those that"), c.longShare(), len(c.wide), len(c.banned))
		for _, problem := range c.broken(l) {
			t.Errorf("%s: %s", name, problem)
		}
	}
	for name := range exceptions {
		if rooms[name] == nil {
			t.Errorf("no texts in %s, which has an exception", name)
		}
	}
}

// TestLanguageCounterBites holds the counter itself to account.
func TestLanguageCounterBites(t *testing.T) {
	bad := "A node who is up answers whoever asks, and nobody of them says whether those that are down have gone, " +
		"since none of it is known to somebody of those in this network."
	source := "package x\n\n// F does: " + bad + "\n//\n//\tcode of it, whose width is free: " + bad + "\nfunc F() {}\n\n//go:noinline\nvar v, w = \"whose\", \"whose lease it is\"\n"
	document := "# Whose\n\n" + bad + "\n\n    " + bad + "\n\n- item\n\n      whose " + bad + "\n\n```\nwhose\n```\n<!-- table -->\nwhose\n<!-- end of table -->\n" +
		"| whose | nobody |\n|---|---|\n| " + bad + " | `whose` and \"of which\" |\n"
	for _, c := range []struct {
		p                                       prose
		who, nobody, of, those, banned, wide, n int
	}{
		{comments("x.go", []byte(source)), 3, 2, 2, 2, 1, 1, 1},
		{hashComments("x.conf", []byte("[Unit]\n# The unit. "+bad+"\n#WHOSE=whose\n")), 2, 2, 2, 2, 1, 1, 1},
		{markdown("x.md", []byte(document)), 6, 5, 4, 4, 2, 2, 2},
	} {
		var got tally
		got.add(c.p)
		for i, want := range []int{c.who, c.nobody, c.of, c.those} {
			if n := len(got.habits[habits[i].name]); n != want {
				t.Errorf("%s: %d of %q, want %d", c.p.file, n, habits[i].name, want)
			}
		}
		if len(got.banned) != c.banned || len(got.wide) != c.wide || got.long != c.n {
			t.Errorf("%s: %d banned, %d wide, %d long; want %d, %d, %d", c.p.file, len(got.banned), len(got.wide), got.long, c.banned, c.wide, c.n)
		}
		if broken := got.broken(goal); len(broken) != len(habits)+3 {
			t.Errorf("%s breaks %d limits, want all:\n%s", c.p.file, len(broken), strings.Join(broken, "\n"))
		}
		if broken := got.broken(limits{habit: 1000, long: 100, wide: 9, banned: 9}); len(broken) != 0 {
			t.Errorf("%s breaks wide limits: %v", c.p.file, broken)
		}
	}
	var good tally
	good.add(markdown("y.md", []byte("# Leases\n\nA node asks every holder. It reports whether one is free.\n")))
	if broken := good.broken(goal); len(broken) != 0 || good.sentences != 3 {
		t.Errorf("a good text: %d sentences, %v", good.sentences, broken)
	}
}
