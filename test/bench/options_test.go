// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
)

func TestWithoutFlagsEverythingIsMeasured(t *testing.T) {
	o, err := parse(nil, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	list := o.comparisons()
	if len(list) != 1+len(variants) {
		t.Fatalf("%d comparisons", len(list))
	}
	if main := list[0]; len(main.subjects) != len(kinds) || len(main.measures) != len(measures) {
		t.Errorf("main: %d paths, %d measurements", len(main.subjects), len(main.measures))
	}
	for i, c := range list[1:] {
		if len(c.measures) != len(variants[i].measures) || len(only(c.subjects, reference)) != 1 {
			t.Errorf("%s: %d measurements, VXLAN %d times", c.name, len(c.measures), len(only(c.subjects, reference)))
		}
	}
}

func TestFlagsPickInTheReportsOrder(t *testing.T) {
	o, err := parse(strings.Fields("-paths flanneld-user,vxlan -metrics load,tcp1 -variants lanes -lanes 2 -congestion reno -segmentation=false"), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	list := o.comparisons()
	if len(list) != 2 || list[1].name != "lanes" {
		t.Fatalf("comparisons: %v", list)
	}
	main := list[0]
	if got := []string{main.subjects[0].name, main.subjects[1].name, main.measures[0].name, main.measures[1].name}; !reflect.DeepEqual(got, []string{"vxlan", userSpace, "tcp1", "load"}) {
		t.Errorf("%v", got)
	}
	if got := main.subjects[1].setting; got != (setting{Congestion: "reno", Lanes: "2"}) {
		t.Errorf("setting: %+v", got)
	}
	var lanes []string
	for _, s := range only(list[1].subjects, userSpace) {
		lanes = append(lanes, s.Lanes)
	}
	if !reflect.DeepEqual(lanes, []string{"1", "2", "4"}) {
		t.Errorf("lanes: %v", lanes)
	}
}

func TestVariantsDifferInOneRespect(t *testing.T) {
	base := []subject{{kinds[1], setting{"cubic", "auto", true, false}}}
	want := map[string]setting{
		"segmentation": {"cubic", "auto", false, false}, "bbr": {"bbr", "auto", true, false}, "lanes": {"cubic", "auto", true, false},
		docker: {"cubic", "auto", true, true},
	}
	for _, v := range variants {
		if got := v.subjects(base)[0].setting; got != want[v.name] {
			t.Errorf("%s: %+v", v.name, got)
		}
	}
	if base[0].setting != (setting{"cubic", "auto", true, false}) {
		t.Errorf("the base has changed: %+v", base[0].setting)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for args, want := range map[string]string{
		"-paths vxlan,foo":               `"foo" is not one of routing, vxlan`,
		"-metrics tcp9":                  `"tcp9" is not one of tcp1`,
		"-rounds 0":                      "-rounds",
		"-time 1ms":                      "-time",
		"-paths none":                    "nothing to measure",
		"-variants none surprise":        `unexpected argument "surprise"`,
		"-variants segmentation,someday": `"someday"`,
	} {
		if _, err := parse(strings.Fields(args), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestHelpListsWhatThereIsToPick(t *testing.T) {
	var help bytes.Buffer
	if _, err := parse([]string{"-help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v", err)
	}
	for _, name := range append(append(pathNames(), measureNames()...), variantNames()...) {
		if !strings.Contains(help.String(), name) {
			t.Errorf("%s is not mentioned", name)
		}
	}
}
