// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"flanneld/internal/valid"
)

// Environment reads an environment file as systemd does (EnvironmentFile= in
// systemd.exec(5)): NAME=VALUE, comments that begin with # or ;, single and
// double quotes, backslashes, and lines that go on after a backslash. The last
// of two equal names wins. Lines that are no assignments are passed over.
func Environment(content []byte) map[string]string {
	vars := map[string]string{}
	s := scanner{text: strings.ReplaceAll(string(content), "\r\n", "\n")}
	for s.at < len(s.text) {
		s.blanks()
		switch s.peek() {
		case '\n', 0:
			s.next()
			continue
		case '#', ';':
			s.comment()
			continue
		}
		name := strings.TrimSpace(s.name())
		if s.peek() != '=' {
			s.comment()
			continue
		}
		s.next()
		if value := s.value(); valid.Variable(name) {
			vars[name] = value
		}
	}
	return vars
}

// scanner reads a text byte by byte.
type scanner struct {
	text string
	at   int
}

// peek is the byte that comes next, 0 at the end.
func (s *scanner) peek() byte {
	if s.at >= len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) next() byte {
	c := s.peek()
	s.at++
	return c
}

func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.next()
	}
}

// comment skips the rest of a line. A backslash at its end adds the next line.
func (s *scanner) comment() {
	for s.at < len(s.text) {
		switch s.next() {
		case '\\':
			s.next()
		case '\n':
			return
		}
	}
}

// name reads up to a sign of equality or the end of the line.
func (s *scanner) name() string {
	from := s.at
	for s.at < len(s.text) && s.peek() != '=' && s.peek() != '\n' {
		s.next()
	}
	return s.text[from:min(s.at, len(s.text))]
}

// value reads a value to the end of its line. Blanks outside of quotes at its
// ends do not belong to it.
func (s *scanner) value() string {
	var b strings.Builder
	s.blanks()
	keep := 0 // what blanks at the end do not shorten
	for s.at < len(s.text) {
		switch c := s.next(); c {
		case '\n':
			return b.String()[:max(keep, len(strings.TrimRight(b.String(), " \t")))]
		case '\\':
			if s.at < len(s.text) {
				if c := s.next(); c != '\n' {
					b.WriteByte(c)
				}
			}
			keep = b.Len()
		case '\'', '"':
			s.quoted(&b, c)
			keep = b.Len()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()[:max(keep, len(strings.TrimRight(b.String(), " \t")))]
}

// quoted reads up to the closing quote. In double quotes a backslash is taken
// off before a quote, a backslash, a dollar and a backtick.
func (s *scanner) quoted(b *strings.Builder, quote byte) {
	for s.at < len(s.text) {
		c := s.next()
		if c == quote {
			return
		}
		if c != '\\' || quote == '\'' {
			b.WriteByte(c)
			continue
		}
		switch escaped := s.next(); escaped {
		case '"', '\\', '`', '$':
			b.WriteByte(escaped)
		case '\n', 0:
		default:
			b.WriteByte(c)
			b.WriteByte(escaped)
		}
	}
}
