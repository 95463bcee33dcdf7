// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
	"flanneld/internal/event"
)

// eventsWanted is which events are shown.
type eventsWanted struct {
	since string // a duration or a time; "": all
	kinds []string
	after time.Time // of since
}

func eventsCommand(e env) *cobra.Command {
	wanted, follow := eventsWanted{}, false
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened: when, what and why",
		Long: `Show what has happened on this node, and what it has noticed of others: members, leases, paths,
repairs of what other programs took away, drops, problems, moves, starts and stops. The last 1,000
are kept in the state directory, over restarts and reboots. An event that happens again within ten
minutes is shown once, with a count. So is one that many nodes have at once.

While no daemon runs, the events that it has kept are shown; that needs the rights to read
--state-dir.`,
		Example: `  flanneld events --since 1h
  flanneld events -f --kind member,lease
  flanneld events -f -o json | jq .text`,
		Args: exactly(),
	}
	flags := c.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	flags.StringVar(&wanted.since, "since", "", "leave out what is older: a duration such as 90s, 15m or 2h, or a `TIME`")
	flags.StringSliceVar(&wanted.kinds, "kind", nil, "only these `KIND`s: "+strings.Join(control.EventKinds, ", "))
	at, as := addTarget(c, "state-dir"), addFormat(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := wanted.check(time.Now()); err != nil {
			return err
		}
		cfg, err := at.load(e)
		if err != nil {
			return err
		}
		client := control.NewClient(filepath.Clean(cfg.SocketPath()))
		events, err := client.Events(c.Context(), control.EventsQuery{})
		if errors.Is(err, control.ErrNoDaemon) && !follow {
			events, err = keptEvents(e, filepath.Join(cfg.StateDir, event.FileName), err)
		}
		if err != nil {
			return err
		}
		if follow {
			return followEvents(c.Context(), e, *as, client, wanted, events)
		}
		events.Events = wanted.pick(events.Events)
		return show(e, *as, events, func(t *table) { drawEvents(t, events.Events) })
	}
	return c
}

// keptEvents are the events of a daemon that does not run. missing says so.
func keptEvents(e env, path string, missing error) (control.Events, error) {
	events, _, err := event.Read(path)
	switch {
	case err != nil:
		return control.Events{}, fmt.Errorf("%w; what it has kept cannot be read: %v", missing, err)
	case len(events) == 0:
		return control.Events{}, missing
	}
	fmt.Fprintf(e.err, "flanneld: no daemon runs; these are the events in %s\n", path)
	return control.Events{Events: events}, nil
}

// check reads --since and --kind.
func (w *eventsWanted) check(now time.Time) error {
	for _, k := range w.kinds {
		if !slices.Contains(control.EventKinds, k) {
			return usage("--kind %.40s: not one of %s", k, strings.Join(control.EventKinds, ", "))
		}
	}
	if w.since == "" {
		return nil
	}
	if d, err := time.ParseDuration(w.since); err == nil && d >= 0 {
		w.after = now.Add(-d)
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, w.since, now.Location()); err == nil {
			w.after = t
			return nil
		}
	}
	return usage("--since %.40s: neither a duration such as 15m nor a time such as \"%s\"", w.since, now.Add(-time.Hour).Format("2006-01-02 15:04"))
}

// pick leaves out what is not wanted.
func (w eventsWanted) pick(all []control.Event) []control.Event {
	return slices.DeleteFunc(all, func(one control.Event) bool {
		return one.Time.Before(w.after) || len(w.kinds) > 0 && !slices.Contains(w.kinds, one.Kind)
	})
}

// followEvents prints events as they come, until ctx ends. It waits for a
// daemon that is started again.
func followEvents(ctx context.Context, e env, f format, client *control.Client, w eventsWanted, events control.Events) error {
	after, gone := uint64(0), false
	for {
		for _, one := range events.Events {
			after = max(after, one.Seq)
		}
		if err := printEvents(e.out, f, e.color, w.pick(events.Events)); err != nil {
			return err
		}
		var err error
		events, err = client.Events(ctx, control.EventsQuery{After: after, Wait: control.MaxEventWait})
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			gone = false
			continue
		case !gone:
			fmt.Fprintf(e.err, "flanneld: %s; waiting\n", oneLine(err))
			gone = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// printEvents prints events one a line, as JSON or as text.
func printEvents(out io.Writer, f format, colors bool, events []control.Event) error {
	if f == formatJSON {
		encoder := json.NewEncoder(out)
		for _, one := range events {
			if err := encoder.Encode(one); err != nil {
				return err
			}
		}
		return nil
	}
	t := &table{}
	for _, one := range events {
		t.line(eventColor(one), fmt.Sprintf("%s  %-8s  %s", eventTime(one.Time), one.Kind, eventText(one)))
	}
	if len(t.lines) == 0 {
		return nil
	}
	return t.print(out, colors)
}

func drawEvents(t *table, events []control.Event) {
	if len(events) == 0 {
		t.line(plain, "no events")
		return
	}
	t.line(plain, "TIME", "KIND", "EVENT")
	for _, one := range events {
		t.line(eventColor(one), eventTime(one.Time), one.Kind, eventText(one))
	}
}

func eventTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// eventText is what happened, why, and how often.
func eventText(e control.Event) string {
	text := e.Text
	if e.Why != "" {
		text += " (" + e.Why + ")"
	}
	if e.Count > 1 {
		text += fmt.Sprintf(" [%d times since %s]", e.Count, e.First.Local().Format("15:04:05"))
	}
	return text
}

// eventColor is red for what stops packets, yellow for what is worth a look.
func eventColor(e control.Event) string {
	switch e.Kind + " " + e.What {
	case "member dead", "lease lost", "lease conflict", "path lost":
		return red
	case "problem began", "drops began", "repair restored", "lease waiting", "underlay moved", "key refused":
		return yellow
	}
	return plain
}
