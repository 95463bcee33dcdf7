// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"flanneld/test/lab"
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if o.from != "" {
		os.Exit(exit(o.show()))
	}
	lab.Enter(func() ([]string, error) {
		fmt.Fprintln(os.Stderr, "Building flanneld.")
		return lab.Build()
	})
	report := o.run()
	os.Exit(exit(errors.Join(o.deliver(report), incomplete(report))))
}

// show is the part of the program that measures nothing.
func (o options) show() error {
	report, err := readReport(o.from)
	if err != nil {
		return err
	}
	o.json = "" // it is there
	return o.deliver(report)
}

// incomplete is an error if a path that is always available was not measured in
// full.
func incomplete(r Report) error {
	if what := r.failed(); len(what) > 0 {
		return errors.New(strings.Join(what, "\n"))
	}
	return nil
}

func exit(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}
