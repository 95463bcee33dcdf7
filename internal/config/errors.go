// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"

	"flanneld/internal/problem"
)

// Error is a setting that cannot be used: one line that names the flag or the
// variable, its value, and what to do about it. The command line was wrong,
// so the program ends with status 2.
type Error struct {
	Source string // "--mtu", or "FLANNELD_MTU" when it came from the environment
	Value  string
	Reason string
}

// maxShown is how much of a value an error shows, in runes.
const maxShown = 200

func (e *Error) Error() string {
	value := e.Value
	if value == "" {
		value = `""`
	}
	if runes := []rune(value); len(runes) > maxShown {
		value = string(runes[:maxShown]) + "..."
	}
	separator := " "
	if len(e.Source) > 0 && e.Source[0] != '-' {
		separator = "=" // as one writes a variable
	}
	return problem.OneLine(fmt.Sprintf("%s%s%s: %s", e.Source, separator, value, e.Reason))
}

// fault reports that the value of a setting does not go with the rest. A
// setting that was not given is named by its flag, with the value it has.
func (c *Config) fault(name, value, format string, args ...any) error {
	from, ok := c.origin[name]
	if !ok {
		from = given{source: "--" + name, value: value}
	}
	return &Error{Source: from.source, Value: from.value, Reason: fmt.Sprintf(format, args...)}
}
