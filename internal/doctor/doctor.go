// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/problem"
)

// The daemon's side of what is asked; *control.Client is one.
type client interface {
	Status(context.Context) (control.Status, error)
	Nodes(context.Context) (control.Nodes, error)
	Ping(context.Context, control.PingRequest) (control.Pinged, error)
	Examine(context.Context) (control.Examined, error)
}

// Options are where and how to look.
type Options struct {
	Version string // of this program
	Config  config.Config
	// SettingsErr is why the settings cannot be used; then Config has what the
	// command line alone says.
	SettingsErr error
	// Unknown are variables that look like settings and are none.
	Unknown      []string
	SettingsFile string // that the unit reads
	SettingsRead error  // why SettingsFile was not read; nil: it was, or it is not there
	Client       client
	DockerHost   string // address of Docker's engine, such as unix:///run/docker.sock
	// Check compares what is kept on this host with subnet.env, for a daemon
	// that is stopped. The error says why there is nothing to compare with.
	Check func(context.Context) ([]host.Finding, error)
	// Shortcut says what the kernel or this process lacks for the short-cut, ""
	// for nothing; old: it is the kernel's age.
	Shortcut func() (lacks string, old bool)
	// Root reports whether this process may look at everything.
	Root bool
	// Files is the directory that all paths begin in, "" for the root
	// directory. It is for tests.
	Files string
}

// Limits in time. What has not answered by then is reported as not checked.
const (
	checkTime   = 35 * time.Second // of one check; the daemon takes 30 s for a request at most
	answerTime  = 8 * time.Second  // of the daemon's status; it takes 2 s for its parts
	commandTime = 5 * time.Second  // of a program that a check calls
)

// exam is one examination.
type exam struct {
	Options
	checks []control.Check

	running bool
	status  control.Status
	nodes   control.Nodes
}

// Examine makes all checks. It takes some seconds; each check has a limit.
func Examine(ctx context.Context, o Options) control.Doctor {
	e := &exam{Options: o}
	e.daemon(ctx)
	for _, check := range []func(context.Context){
		e.settings, e.privileges, e.kernel, e.switches, e.disk, e.stopped, e.reach, e.examine, e.docker, e.cni,
	} {
		e.bounded(ctx, check)
	}
	return e.report()
}

// bounded makes one check within its time.
func (e *exam) bounded(ctx context.Context, check func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	check(ctx)
}

func (e *exam) add(group, name, verdict, text, advice string) {
	e.checks = append(e.checks, control.Check{Group: group, Name: name, Verdict: verdict, Text: problem.OneLine(text), Advice: problem.OneLine(advice)})
}

func (e *exam) ok(group, name, format string, args ...any) {
	e.add(group, name, control.CheckOK, fmt.Sprintf(format, args...), "")
}

func (e *exam) warn(group, name, text, advice string) {
	e.add(group, name, control.CheckWarning, text, advice)
}

func (e *exam) broken(group, name, text, advice string) {
	e.add(group, name, control.CheckBroken, text, advice)
}

// skip reports what could not be looked at.
func (e *exam) skip(group, name, why, advice string) {
	e.add(group, name, control.CheckSkipped, why, advice)
}

// asRoot is the advice where rights are missing.
const asRoot = "run it as root: sudo flanneld doctor"

// skipErr reports a check that failed with an error. The advice is for other
// errors than missing rights.
func (e *exam) skipErr(group, name string, err error, advice string) {
	if errors.Is(err, os.ErrPermission) && !e.Root {
		advice = asRoot
	}
	e.skip(group, name, err.Error(), advice)
}

// report orders the checks, and sums them up.
func (e *exam) report() control.Doctor {
	slices.SortStableFunc(e.checks, func(a, b control.Check) int {
		return slices.Index(control.CheckGroups, a.Group) - slices.Index(control.CheckGroups, b.Group)
	})
	name, _ := os.Hostname()
	out := control.Doctor{Version: e.Version, Host: name, Time: time.Now().UTC().Format(time.RFC3339), Running: e.running, Checks: e.checks}
	out.OK, out.Summary = sumUp(e.checks)
	return out
}

// sumUp is the first line: how many checks have which verdict, and the first
// one that is broken.
func sumUp(checks []control.Check) (ok bool, summary string) {
	count := map[string]int{}
	first := ""
	for _, c := range checks {
		count[c.Verdict]++
		if c.Verdict == control.CheckBroken && first == "" {
			first = c.Name + ": " + c.Text
		}
	}
	counts := fmt.Sprintf("%d ok", count[control.CheckOK])
	if n := count[control.CheckWarning]; n == 1 {
		counts += ", 1 warning"
	} else if n > 1 {
		counts += fmt.Sprintf(", %d warnings", n)
	}
	if n := count[control.CheckSkipped]; n > 0 {
		counts += fmt.Sprintf(", %d not checked", n)
	}
	if n := count[control.CheckBroken]; n > 0 {
		return false, fmt.Sprintf("%d broken, %s; the first: %s", n, counts, first)
	}
	return true, "nothing is broken: " + counts
}

// file is the path of a file of the host.
func (e *exam) file(path string) string { return e.Files + path }

// read reads a file of the host, without the blanks at its ends.
func (e *exam) read(path string) (string, error) {
	content, err := os.ReadFile(e.file(path))
	return strings.TrimSpace(string(content)), err
}
