// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"flanneld/internal/control"
	"flanneld/internal/screen/screentest"
)

// busy is a daemon with traffic that grows with each look, and many peers.
type busy struct {
	fake
	looks atomic.Uint64
}

func (b *busy) Status() control.Status {
	s := b.fake.Status()
	n := b.looks.Add(1)
	s.Egress = control.Traffic{Packets: n * 1000, Bytes: n * 1_500_000}
	s.Drops = map[string]uint64{"egress-no-route": n}
	return s
}

func (b *busy) Nodes() control.Nodes {
	nodes := b.fake.Nodes()
	n := b.looks.Load()
	for i := range 30 {
		name := "web-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		nodes.Nodes = append(nodes.Nodes, control.Node{ID: name, Name: name, State: "alive", Egress: control.Traffic{Packets: n, Bytes: n * uint64(i)},
			Paths: []control.NodePath{{Path: "udp", Used: true}}, Path: control.Path{RTT: control.Seconds(i) / 1000}})
	}
	return nodes
}

// onTerminal runs a command on a terminal, and returns its exit status once it
// has ended.
func onTerminal(t *testing.T, p *screentest.Terminal, args ...string) (ended chan int) {
	ended = make(chan int, 1)
	go func() {
		ended <- execute(context.Background(), args, env{
			in: p.TTY, out: p.TTY, err: p.TTY, lookup: func(string) (string, bool) { return "", false },
		})
	}()
	return ended
}

func TestTopDrawsFitsSortsAndGivesTheTerminalBack(t *testing.T) {
	dir := serve(t, &busy{})
	p := screentest.Open(t, 80, 24)
	ended := onTerminal(t, p, "top", "--run-dir", dir, "-d", "500ms")
	n := p.WaitFor(0, "by traffic, 1 to 17 of 34")
	frame := lastFrame(p.Drawn())
	if len(frame) != 24 || !strings.Contains(strings.Join(frame, "\n"), "drops    egress-no-route ") {
		t.Errorf("%d lines:\n%s", len(frame), strings.Join(frame, "\n"))
	}
	for _, line := range frame {
		if len([]rune(line)) > 80 {
			t.Errorf("%d columns: %s", len([]rune(line)), line)
		}
	}
	p.Press("n")
	n = p.WaitFor(n, "by name, 1 to 17 of 34")
	p.Press("\x1b[6~")
	n = p.WaitFor(n, "by name, 18 to 34 of 34")
	p.Resize(40, 10)
	n = p.WaitFor(n, "by name, 18 to 20 of 34   t traffic  l l\x1b[K\x1b[J")
	if frame := lastFrame(p.Drawn()); len(frame) != 10 {
		t.Errorf("%d lines:\n%s", len(frame), strings.Join(frame, "\n"))
	}
	p.Resize(10, 2)
	p.WaitFor(n, "by name, 1\x1b[K\x1b[J")
	p.Press("q")
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
	p.WaitFor(0, "\x1b[?25h\x1b[?1049l")
	if p.Raw() {
		t.Error("the terminal is not as it was")
	}
}

// lastFrame is what was drawn last, as lines.
func lastFrame(drawn string) []string {
	drawn = drawn[strings.LastIndex(drawn, "\x1b[H")+3:]
	drawn, _, _ = strings.Cut(drawn, "\x1b[J")
	return strings.Split(strings.ReplaceAll(drawn, "\x1b[K", ""), "\r\n")
}

func TestTopEndsAfterItsLooks(t *testing.T) {
	dir := serve(t, &busy{})
	p := screentest.Open(t, 80, 24)
	if status := <-onTerminal(t, p, "top", "--run-dir", dir, "-d", "500ms", "-n", "1"); status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestTopInBatchesIsForScripts(t *testing.T) {
	dir := serve(t, &busy{})
	args := []string{"top", "--run-dir", dir, "-b", "-n", "2", "-d", "500ms", "--sort", "name"}
	r := flanneld(t, nil, args...)
	if r.status != 0 || strings.Count(r.out, "flanneld top  alpha") != 2 || strings.Count(r.out, "web-") != 60 || strings.Contains(r.out, "\x1b") {
		t.Errorf("got %+v", r)
	}
	r = flanneld(t, nil, append(args, "-o", "json")...)
	decoder := json.NewDecoder(bytes.NewBufferString(r.out))
	for range 2 {
		var top control.Top
		if err := decoder.Decode(&top); err != nil || len(top.Peers) != 34 || top.Egress.Packets == 0 || top.Peers[0].Name != "192.168.1.8" {
			t.Errorf("%+v, %v", top, err)
		}
	}
	if r := flanneld(t, nil, "top", "--run-dir", t.TempDir(), "-b"); r.status != statusFailed || !strings.Contains(r.err, "no flanneld answers") {
		t.Errorf("without a daemon: %+v", r)
	}
}

func TestTopSaysWhatIsWrongWithItsCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"":              "flanneld: top: this is no terminal: give -b, and -n 1 for one look\n",
		"--sort colour": "flanneld: --sort colour: not one of traffic, loss, latency, name\n",
		"-d 1ms":        "flanneld: --delay 1ms: not from 500ms to 1h\n",
		"-n -1":         "flanneld: --count -1: less than 0\n",
	} {
		if r := flanneld(t, nil, append([]string{"top"}, strings.Fields(args)...)...); r.status != statusUsage || r.err != want {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
