// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	switch {
	case os.Getpid() == 1:
		guest()
		return
	case len(os.Args) == 2 && os.Args[1] == stepsArgument:
		if err := runSteps(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if err := host(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// host runs on the machine itself: it makes the systems, and boots them.
func host() error {
	short := flag.Bool("short", false, "only the steps and scenarios of continuous integration")
	only := flag.String("steps", "", "names of steps, separated by commas, instead of all: "+strings.Join(names(steps), " "))
	limit := flag.Duration("limit", time.Hour, "how long each machine may run")
	fetch := flag.Bool("fetch", false, "make the systems only")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: go run ./test/kernels [flags] [kernel...]\nkernels: %v\n", releases)
		flag.PrintDefaults()
	}
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		return err
	}
	plan, err := pick(*short, strings.FieldsFunc(*only, func(r rune) bool { return r == ',' }))
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("this needs root, for debootstrap; run it with sudo")
	}
	chosen, ready, faults := prepareAll(chosen)
	if *fetch || len(chosen) == 0 {
		return errors.Join(faults...)
	}
	work, err := os.MkdirTemp("", "flanneld-kernels-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	image, err := secondDisk(work, plan)
	if err != nil {
		return err
	}
	for i, r := range chosen {
		if err := try(r, ready[i], work, image, *limit, plan); err != nil {
			faults = append(faults, fmt.Errorf("%v: %w", r, err))
		}
	}
	return errors.Join(faults...)
}

// prepareAll returns the releases that could be prepared, their systems in the
// same order, and what is wrong with the others. One that has left the archive
// must not stop the rest.
func prepareAll(chosen []release) (able []release, ready []system, faults []error) {
	for _, r := range chosen {
		s, err := r.prepare()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		able, ready = append(able, r), append(ready, s)
	}
	return able, ready, faults
}

// secondDisk builds what runs in the machines, and returns its disk.
func secondDisk(work string, plan []step) (string, error) {
	tree, image := filepath.Join(work, "tree"), filepath.Join(work, "tests.img")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return "", err
	}
	if err := build(tree, plan); err != nil {
		return "", err
	}
	return image, makeDisk(tree, image, 16)
}

// try boots one system, shows the output of its tests, and judges it. A machine
// that hangs or goes off by itself, without a failed test, gets a second try.
// Emulated processors lock up now and then on a busy machine. The last lines of
// the first try are shown.
func try(r release, s system, work, image string, limit time.Duration, plan []step) error {
	rep, err := attempt(r, s, work, image, limit, plan)
	if err != nil && rep.interrupted() {
		fmt.Printf("%v: %v\n%v: no test failed; booting once more\n", r, err, r)
		_, err = attempt(r, s, work, image, limit, plan)
	}
	return err
}

// attempt is one boot of a system.
func attempt(r release, s system, work, image string, limit time.Duration, plan []step) (*report, error) {
	fmt.Printf("%v: booting %s\n", r, s.Version)
	rep := newReport()
	used, bootErr := s.boot(work, image, limit, func(line string) {
		if rep.line(line) {
			fmt.Printf("%s %s | %s\n", r.Kernel, rep.current, line)
		}
	})
	if err := errors.Join(bootErr, rep.verdict(plan)); err != nil {
		return rep, err
	}
	fmt.Printf("%v: %d tests passed on %s, booted in %.0f s, off after %.0f s, %.0f s of processor time\n",
		r, rep.Passed, rep.Kernel, rep.Boot.Seconds(), time.Since(rep.start).Seconds(), used.Seconds())
	return rep, nil
}
