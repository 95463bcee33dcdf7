// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"strings"

	"flanneld/internal/problem"
)

// advised is an error with what the operator can type against it.
type advised struct {
	error
	advice string
}

func (a advised) Unwrap() error { return a.error }

// Advise adds to an error what to type or to change: one line. A nil error
// stays nil.
func Advise(err error, advice string) error {
	if err == nil {
		return nil
	}
	return advised{err, advice}
}

// joined is several errors on one line.
type joined []error

func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (j joined) Unwrap() []error { return j }

// err is nil where there is no error.
func (j joined) err() error {
	if len(j) == 0 {
		return nil
	}
	return j
}

// Join is errors.Join with one line for all errors.
func Join(errs ...error) error {
	var all joined
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	return all.err()
}

// Errors takes apart what Join put together.
func Errors(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(joined) //nolint:errorlint // what was wrapped since has words of its own
	if !ok {
		return []error{err}
	}
	var all []error
	for _, one := range several {
		all = append(all, Errors(one)...)
	}
	return all
}

// Problems lists what an error consists of, each problem with its advice.
// ErrPending is none.
func Problems(err error) []problem.Problem {
	var all []problem.Problem
	for _, one := range Errors(err) {
		if errors.Is(one, ErrPending) {
			continue
		}
		p := problem.Problem{Text: one.Error()}
		var a advised
		if errors.As(one, &a) {
			p.Advice = a.advice
		}
		all = append(all, p)
	}
	return all
}
