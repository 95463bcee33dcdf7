// SPDX-License-Identifier: Apache-2.0

package test

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	tabWidth      = 4   // columns
	commentWidth  = 80  // columns
	markdownWidth = 100 // columns of prose; code blocks are free
	tableWidth    = 120 // columns of a table's row
)

// prose is what a person reads in one file: a Markdown document, or the
// comments of any other file.
type prose struct {
	file     string // relative to the module's root
	passages []passage
	wide     []int // numbers of the lines that are too wide
}

// A passage is one paragraph, list item, heading, table cell or string literal.
// Code and quoted text in it are replaced by one word each.
type passage struct {
	line    int // where it begins
	text    string
	literal bool // a string of the program: neither its words nor its sentences count
}

var (
	codeSpan   = regexp.MustCompile("`[^`]*`")
	quotation  = regexp.MustCompile(`"[^"]*"|“[^”]*”`)
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	listItem   = regexp.MustCompile(`^\s*([-*+]|\d+\.)\s+`)
	notProse   = regexp.MustCompile(`^//(go:|line |export |\S+:\S)`)
)

// add appends a passage that begins at a line, unless it is empty.
func (p *prose) add(line int, text string) {
	text = linkTarget.ReplaceAllString(text, "]")
	text = codeSpan.ReplaceAllString(text, " code ")
	text = quotation.ReplaceAllString(text, " quoted ")
	if text = strings.TrimSpace(text); text != "" {
		p.passages = append(p.passages, passage{line: line, text: text})
	}
}

// addLiteral appends a string literal of three words or more: a message, an
// error or a help text.
func (p *prose) addLiteral(line int, literal string) {
	if text, err := strconv.Unquote(literal); err == nil && len(strings.Fields(text)) >= 3 {
		p.passages = append(p.passages, passage{line: line, text: text, literal: true})
	}
}

func columns(line string) int {
	tabs := strings.Count(line, "\t")
	return utf8.RuneCountInString(line) + tabs*(tabWidth-1)
}

// comments returns the prose of a Go file: its comments and, unless it is a
// test, its string literals. Indented lines of a comment are code, whose width
// is free. The width of a comment behind code is not measured.
func comments(name string, source []byte) prose {
	p := prose{file: name}
	lines := strings.Split(string(source), "\n")
	files := token.NewFileSet()
	file := files.AddFile(name, -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, func(token.Position, string) {}, scanner.ScanComments)
	var text []string
	begin, last := 0, 0
	flush := func() {
		p.add(begin, strings.Join(text, " "))
		text = nil
	}
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.STRING && !strings.HasSuffix(name, "_test.go") {
			p.addLiteral(files.Position(pos).Line, literal)
		}
		if tok != token.COMMENT || notProse.MatchString(literal) {
			continue
		}
		number := files.Position(pos).Line
		alone := strings.HasPrefix(strings.TrimSpace(lines[number-1]), literal[:2])
		if !alone || number != last+1 {
			flush()
		}
		for i, line := range strings.Split(literal, "\n") {
			line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(line, "//"), "/*"), "*/")
			code := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "   ")
			if alone && !code && columns(lines[number-1+i]) > commentWidth {
				p.wide = append(p.wide, number+i)
			}
			switch {
			case strings.TrimSpace(line) == "" || code && !listItem.MatchString(line):
				flush()
				continue
			case listItem.MatchString(line):
				flush()
			}
			if text == nil {
				begin = number + i
			}
			text = append(text, strings.TrimSpace(line))
			last = number + i
		}
	}
	flush()
	return p
}

// markdown returns the prose of a Markdown document. What a program wrote
// between two marks of its own, <!-- X --> and <!-- end of X -->, is left out.
func markdown(name string, source []byte) prose {
	p := prose{file: name}
	var text []string
	var begin, margin int // margin is the indentation of the list item's text
	fenced, code, blank, generated := false, false, true, false
	flush := func() {
		p.add(begin, strings.Join(text, " "))
		text = nil
	}
	for i, line := range strings.Split(string(source), "\n") {
		number, bare := i+1, strings.TrimSpace(line)
		if strings.HasPrefix(bare, "<!--") {
			generated = !strings.HasPrefix(bare, "<!-- end")
		}
		if generated || strings.HasPrefix(bare, "<!--") {
			flush()
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.HasPrefix(bare, "```") {
			flush()
			fenced = !fenced
			continue
		}
		if indent == 0 && bare != "" && !listItem.MatchString(line) && blank {
			margin = 0
		}
		code = bare != "" && indent >= margin+4 && (blank || code) && !listItem.MatchString(line)
		if fenced || code || bare == "" {
			flush()
			blank = bare == ""
			code = code || blank && code
			continue
		}
		blank = false
		if strings.HasPrefix(bare, "|") {
			flush()
			if columns(line) > tableWidth {
				p.wide = append(p.wide, number)
			}
			if strings.Trim(bare, "|-: ") != "" {
				for _, cell := range strings.Split(strings.Trim(bare, "|"), "|") {
					p.add(number, cell)
				}
			}
			continue
		}
		if columns(line) > markdownWidth && strings.Contains(bare, " ") {
			p.wide = append(p.wide, number)
		}
		heading := strings.HasPrefix(bare, "#")
		if mark := listItem.FindString(line); mark != "" || heading {
			flush()
			margin = len(mark)
			line = line[len(mark):]
		}
		if text == nil {
			begin = number
		}
		text = append(text, strings.TrimSpace(strings.TrimLeft(line, " >#")))
		if heading {
			flush()
			margin = 0
		}
	}
	flush()
	return p
}

// hashComments returns the prose of a script, unit or settings file: its lines
// that begin with "# ".
func hashComments(name string, source []byte) prose {
	p := prose{file: name}
	var text []string
	begin := 0
	for i, line := range strings.Split(string(source), "\n") {
		comment, found := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !found || strings.HasPrefix(comment, " ") || strings.HasPrefix(comment, "--") {
			p.add(begin, strings.Join(text, " "))
			text = nil
			continue
		}
		if columns(line) > commentWidth {
			p.wide = append(p.wide, i+1)
		}
		if text == nil {
			begin = i + 1
		}
		text = append(text, comment)
	}
	p.add(begin, strings.Join(text, " "))
	return p
}

// readers are the files that have prose, by the end of their names.
var readers = map[string]func(name string, source []byte) prose{
	".go": comments, ".md": markdown, ".sh": hashComments, ".conf": hashComments, ".default": hashComments, ".in": hashComments,
}

// room is the part of the repository to which a file belongs: a Markdown
// document for itself, any other file to its top folder.
func room(file string) string {
	if top, _, found := strings.Cut(file, "/"); found && filepath.Ext(file) != ".md" {
		return top
	}
	return file
}

// allProse reads the module's files that have prose.
func allProse(t *testing.T) (all []prose) {
	t.Helper()
	root := moduleRoot(t)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name == ".git" || name == "bin" || name == "testdata" && filepath.Base(filepath.Dir(path)) != "dist" {
				return filepath.SkipDir
			}
			return nil
		}
		read := readers[filepath.Ext(path)]
		if read == nil {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if generated.Match(source) {
			return nil // by a program, in its own words
		}
		all = append(all, read(strings.TrimPrefix(path, root+"/"), source))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
