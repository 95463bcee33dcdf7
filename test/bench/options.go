// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options are the command line's.
type options struct {
	rounds   int
	length   time.Duration // of each measurement of a stream; others are in proportion
	version  string
	base     setting
	paths    choice
	measures choice
	variants choice
	json     string // files to write; empty for none
	chart    string
	from     string // a JSON to show again instead of measuring
	publish  bool
}

// setting is what a path is measured under.
type setting struct {
	Congestion   string `json:"congestion_control"`
	Lanes        string `json:"lanes"`                  // of flanneld: auto or a number
	Segmentation bool   `json:"underlay_segmentation"`  // offload of the hosts' underlay devices
	Docker       bool   `json:"docker_rules,omitempty"` // the hosts have the packet filter rules of Docker
}

// parse reads the command line. [flag.ErrHelp] means that help was asked for
// and given.
func parse(args []string, output io.Writer) (options, error) {
	o := options{paths: all(pathNames()), measures: all(measureNames()), variants: all(variantNames())}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.version, "version", "", "what is measured, for the report: flanneld's version")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds of every measurement; the report has medians")
	flags.DurationVar(&o.length, "time", 1200*time.Millisecond, "length of one measurement of a stream; others are in proportion")
	flags.StringVar(&o.base.Congestion, "congestion", "cubic", "TCP congestion control of the streams")
	flags.StringVar(&o.base.Lanes, "lanes", "auto", "flanneld's lanes")
	flags.BoolVar(&o.base.Segmentation, "segmentation", true, "leave segmentation offload of the underlay on")
	flags.Var(&o.paths, "paths", "which paths: a list of "+o.paths.String())
	flags.Var(&o.measures, "metrics", "which measurements: a list of "+o.measures.String())
	flags.Var(&o.variants, "variants", "which variants after the main comparison: none, or a list of "+o.variants.String())
	flags.StringVar(&o.json, "json", "", "file to write the results to, as JSON")
	flags.StringVar(&o.chart, "chart", "", "file to write the chart to, as SVG")
	flags.StringVar(&o.from, "from", "", "show the results in this JSON file instead of measuring")
	flags.BoolVar(&o.publish, "publish", false, "refresh "+publishedDir+" and the tables of the documents; from the top of the tree")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.length < 100*time.Millisecond:
		return errors.New("-time must be at least 100ms")
	case len(o.paths.picked) == 0 || len(o.measures.picked) == 0:
		return errors.New("nothing to measure: -paths and -metrics need at least one name each")
	}
	return nil
}

// choice is a flag that picks names of a known list, and keeps the list's
// order.
type choice struct{ known, picked []string }

func all(known []string) choice { return choice{known, known} }

// Set takes names separated by commas, or "all", or "none".
func (c *choice) Set(text string) error {
	wanted := strings.Split(text, ",")
	switch text {
	case "all":
		wanted = c.known
	case "none", "":
		wanted = nil
	}
	for _, name := range wanted {
		if !slices.Contains(c.known, name) {
			return fmt.Errorf("%q is not one of %s", name, strings.Join(c.known, ", "))
		}
	}
	c.picked = nil
	for _, name := range c.known {
		if slices.Contains(wanted, name) {
			c.picked = append(c.picked, name)
		}
	}
	return nil
}

func (c *choice) String() string { return strings.Join(c.picked, ",") }

func (c choice) has(name string) bool { return slices.Contains(c.picked, name) }
