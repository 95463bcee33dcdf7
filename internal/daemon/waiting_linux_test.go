// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/problem"
)

// While there is no underlay, every command is answered with the reason.
func TestCommandsAreAnsweredWhileTheUnderlayIsWaitedFor(t *testing.T) {
	dir, err := os.MkdirTemp("", "w") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	log := slog.New(slog.DiscardHandler)
	d := &daemon{
		cfg: config.Config{RunDir: dir, Iface: []string{"no-such-iface"}, Device: "flannel-none", NodeName: "n"},
		log: log, problems: problem.NewBoard(log), started: time.Now(), version: "v", events: newEvents(log),
	}
	d.events.log.Add(control.Event{Kind: control.EventDaemon, What: "started"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := d.awaitUnderlay(ctx)
		ended <- err
	}()
	client := control.NewClient(d.cfg.SocketPath())
	var status control.Status
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, err = client.Status(ctx); err == nil && status.Lease.Waiting != "starting" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("status: %+v, %v", status, err)
		}
	}
	if !strings.Contains(status.Lease.Waiting, "no-such-iface") || len(status.Problems) == 0 || status.Node.Name != "n" || status.Version != "v" {
		t.Errorf("status says %+v", status)
	}
	if e, err := client.Events(ctx, control.EventsQuery{}); err != nil || len(e.Events) != 1 {
		t.Errorf("events: %+v, %v", e, err)
	}
	_, joining := client.Join(ctx, []string{"192.0.2.1"})
	_, leaving := client.Leave(ctx)
	_, forgetting := client.Forget(ctx, "x")
	for _, err := range []error{joining, leaving, forgetting} {
		if err == nil || !strings.Contains(err.Error(), "waiting for the underlay") {
			t.Errorf("a command is answered %v", err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("it no longer waits: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(d.cfg.SocketPath()); err == nil {
		t.Error("the socket is left behind")
	}
}
