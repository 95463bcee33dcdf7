// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"
)

// Source is where --join looks for nodes that are not known by address.
type Source struct {
	Kind     string // SourceSRV or SourceExec
	Argument string // a DNS name or a command
}

// The kinds of sources, as the value of --join begins.
const (
	SourceSRV  = "srv"
	SourceExec = "exec"
)

// String is the form that the flag takes.
func (s Source) String() string { return s.Kind + ":" + s.Argument }

// maxCommand bounds the command of exec:, in bytes.
const maxCommand = 4096

// joinForms are the forms of --join, for errors.
const joinForms = "HOST[:PORT], srv:NAME or exec:COMMAND"

// parseSource reads a source. found is false where the text is of another form:
// an address.
func parseSource(text string) (s Source, found bool, err error) {
	kind, argument, colon := strings.Cut(text, ":")
	s = Source{kind, strings.TrimSpace(argument)}
	check := map[string]func() error{SourceSRV: s.checkName, SourceExec: s.checkCommand}[kind]
	switch {
	case check == nil:
		return Source{}, false, nil
	case !colon:
		return Source{}, false, fmt.Errorf("has no colon; give %s (a host of that name is %s.)", joinForms, kind)
	}
	return s, true, check()
}

// checkName says what is wrong with the name of srv:.
func (s Source) checkName() error {
	switch {
	case s.Argument == "":
		return errors.New("has no name; write it like srv:example.org, which has records of _flanneld._tcp.example.org")
	case !isHostName(s.Argument):
		return errors.New("its name is not one of DNS; write it like srv:example.org or srv:_overlay._tcp.example.org")
	}
	return nil
}

// checkCommand says what is wrong with the command of exec:.
func (s Source) checkCommand() error {
	switch {
	case s.Argument == "":
		return errors.New("has no command; write it like exec:/usr/local/bin/list-nodes")
	case len(s.Argument) > maxCommand:
		return fmt.Errorf("its command has more than %d bytes; put it into a script", maxCommand)
	case strings.ContainsAny(s.Argument, "\x00\n\r"):
		return errors.New("its command has more than one line; put it into a script")
	}
	return nil
}

// addSource adds a source once.
func (c *Config) addSource(s Source) {
	for _, other := range c.Sources {
		if other == s {
			return
		}
	}
	c.Sources = append(c.Sources, s)
}

// withForms adds the forms of --join to an error about what looks like a source
// of an unknown kind.
func withForms(err error, text string) error {
	kind, argument, colon := strings.Cut(text, ":")
	if !colon || argument == "" || strings.ContainsAny(kind, "/@[") || strings.ContainsAny(argument, "/@:") || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		kind == "" || kind[0] < 'a' || strings.Trim(argument, "0123456789") == "" {
		return err
	}
	return fmt.Errorf("%w; give %s", err, joinForms)
}
