// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
	"flanneld/internal/rates"
	"flanneld/internal/screen"
)

// topOptions are the flags of top.
type topOptions struct {
	order string
	delay time.Duration
	count int
	batch bool
}

func topCommand(e env) *cobra.Command {
	o := topOptions{}
	c := &cobra.Command{
		Use:   "top",
		Short: "Show traffic, drops and latency of the peers, live",
		Long: `Show what this node and its peers do per second, live in the terminal: traffic, drops by reason, and
for each peer the path, the round trip, and the probes that were lost in the last half minute.

Keys: t, l, r, n sort by traffic, loss, round trip, name; arrows and page keys scroll; q ends.

EGRESS is what flanneld sends itself. Packets to a peer with a kernel path (direct, vxlan, ipip) are
the kernel's, which does not count them for each peer; INGRESS has what comes by all paths.`,
		Example: `  flanneld top --sort latency
  flanneld top -b -n 1 -o json | jq '.peers[] | select(.lost > 0).name'`,
		Args: exactly(),
	}
	flags := c.Flags()
	flags.StringVar(&o.order, "sort", rates.Orders[0], "`ORDER` of the peers: "+strings.Join(rates.Orders, ", "))
	flags.DurationVarP(&o.delay, "delay", "d", 2*time.Second, "how often to look, 500ms or more")
	flags.IntVarP(&o.count, "count", "n", 0, "end after `N` looks (default never)")
	flags.BoolVarP(&o.batch, "batch", "b", false, "print one look after the other, for scripts and files")
	at, as := addTarget(c), addFormat(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		client, err := at.client(e)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGHUP)
		defer stop()
		if o.batch {
			return topBatch(ctx, e, o, *as, client)
		}
		in, inFile := e.in.(*os.File)
		out, outFile := e.out.(*os.File)
		if !inFile || !outFile || !screen.IsTerminal(in) || !screen.IsTerminal(out) {
			return usage("top: this is no terminal: give -b, and -n 1 for one look")
		}
		if *as == formatJSON {
			return usage("top: -o json is for scripts: give -b as well")
		}
		return topLive(ctx, e, o, client, in, out)
	}
	return c
}

func (o topOptions) check() error {
	switch {
	case !slices.Contains(rates.Orders, o.order):
		return usage("--sort %.40s: not one of %s", o.order, strings.Join(rates.Orders, ", "))
	case o.delay < 500*time.Millisecond || o.delay > time.Hour:
		return usage("--delay %v: not from 500ms to 1h", o.delay)
	case o.count < 0:
		return usage("--count %d: less than 0", o.count)
	}
	return nil
}

// look asks the daemon once.
func look(ctx context.Context, client *control.Client) (l rates.Look, err error) {
	if l.Status, err = client.Status(ctx); err == nil {
		l.Nodes, err = client.Nodes(ctx)
	}
	l.At = time.Now()
	return l, err
}

// topBatch prints looks until there were enough, or ctx ends.
func topBatch(ctx context.Context, e env, o topOptions, f format, client *control.Client) error {
	var window rates.Window
	for shown := 0; ; {
		l, err := look(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		window.Add(l)
		if top, ok := window.Top(); ok {
			rates.Sort(top.Peers, o.order)
			if err := printTop(e, f, top, shown > 0); err != nil {
				return err
			}
			shown++
		}
		if o.count > 0 && shown >= o.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.delay):
		}
	}
}

// printTop prints a look whole.
func printTop(e env, f format, top control.Top, more bool) error {
	if f == formatJSON {
		return json.NewEncoder(e.out).Encode(top)
	}
	lines := topLines(topView{top: top, width: 1 << 10, height: len(top.Peers) + topHead + 1})
	text := strings.Join(lines, "\n") + "\n"
	if more {
		text = "\n" + text
	}
	_, err := fmt.Fprint(e.out, text)
	return err
}

// topLive draws looks on the terminal until q is pressed.
func topLive(ctx context.Context, e env, o topOptions, client *control.Client, in, out *os.File) error {
	terminal, err := screen.Open(in, out)
	if err != nil {
		return err
	}
	defer terminal.Close()
	var window rates.Window
	v := topView{order: o.order, colors: e.color, note: "looking"}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for looks := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case key, open := <-terminal.Keys():
			if !open || !v.press(key) {
				return nil
			}
		case <-terminal.Resized():
		case <-timer.C:
			l, err := look(ctx, client)
			if err == nil {
				window.Add(l)
				v.note = ""
			} else {
				v.note = oneLine(err)
			}
			top, ok := window.Top()
			if ok {
				v.top = top
				looks++
			} else if err == nil {
				v.note = "looking"
			}
			timer.Reset(o.delay)
		}
		if o.count > 0 && looks > o.count {
			return nil
		}
		v.width, v.height = terminal.Size()
		rates.Sort(v.top.Peers, v.order)
		if err := terminal.Draw(topLines(v)); err != nil {
			return err
		}
	}
}
