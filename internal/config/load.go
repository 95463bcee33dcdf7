// SPDX-License-Identifier: Apache-2.0

package config

import (
	"sort"
	"strings"
)

// Load makes a Config from the values given on the command line, by setting
// name and in the order given, and from the environment. A flag wins over its
// variable; an empty variable counts as not set, as with flannel, so that an
// environment file can name every setting. The error is an *Error.
func Load(flags map[string][]string, lookup func(variable string) (string, bool)) (Config, error) {
	c := Config{origin: map[string]given{}}
	for _, s := range settings {
		if err := s.load(&c, flags[s.Name], lookup); err != nil {
			return Config{}, err
		}
	}
	if err := c.nameByCluster(lookup); err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// load sets one setting from the first of flag, variable and default that has
// a value.
func (s Setting) load(c *Config, flag []string, lookup func(string) (string, bool)) error {
	source, values := "--"+s.Name, flag
	if len(values) == 0 {
		if value, _ := lookup(s.Variable()); strings.TrimSpace(value) != "" {
			source, values = s.Variable(), []string{strings.TrimSpace(value)}
		}
	}
	if len(values) == 0 {
		if s.Default == "" {
			return nil
		}
		return s.set(c, s.Default)
	}
	c.origin[s.Name] = given{source: source, value: strings.Join(values, ",")}
	for _, value := range s.parts(values) {
		if err := s.set(c, value); err != nil {
			return &Error{Source: source, Value: value, Reason: err.Error()}
		}
	}
	return nil
}

// parts takes comma separated lists apart.
func (s Setting) parts(values []string) []string {
	if !s.split {
		return values
	}
	var parts []string
	for _, value := range values {
		for rest, more := value, true; more; {
			var part string
			if rest = strings.TrimSpace(rest); s.whole != "" && strings.HasPrefix(rest, s.whole) {
				parts = append(parts, rest)
				break
			}
			part, rest, more = strings.Cut(rest, ",")
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	return parts
}

// UnknownVariables returns the names in environ (KEY=VALUE, as os.Environ
// gives them) that look like settings and are none: most likely misspelled, and
// worth a warning. They are no error, because a host that ran flannel may
// still have flannel's.
func UnknownVariables(environ []string) []string {
	known := map[string]bool{}
	for _, s := range settings {
		known[s.Variable()] = true
	}
	var unknown []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "FLANNELD_") && value != "" && !known[name] {
			unknown = append(unknown, name)
		}
	}
	sort.Strings(unknown)
	return unknown
}
