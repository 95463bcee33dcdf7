// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/gossip/wire"
)

// reporting makes a host that joins others, and has something to report.
func reporting(t *testing.T, report func() []byte, others ...*host) *host {
	t.Helper()
	return newHost(t, func(c *Config) { joining(others...)(c); c.Report = report })
}

// Each lease holder gets the others' reports, whole, and they are made once for
// all that ask within 2 s.
func TestLeaseHoldersReportToEachOther(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("long "), MaxReport/5)
	var made atomic.Int64
	first := reporting(t, func() []byte { made.Add(1); return long })
	first.start()
	first.leased()
	second := reporting(t, func() []byte { return []byte("short") }, first)
	second.start()
	first.seesHolding(second, second.leased())
	second.seesHolding(first, first.leased())

	ctx, cancel := context.WithTimeout(t.Context(), waitAtMost)
	defer cancel()
	start := time.Now()
	for range 3 {
		got, err := answered(ctx, func() ([]byte, error) { return second.node.Report(ctx, first.node.Snapshot().Self.ID) })
		if err != nil || !bytes.Equal(got, long) {
			t.Fatalf("%d bytes, %v, want %d", len(got), err, len(long))
		}
	}
	// A busy machine may take longer for three questions.
	if n, took := made.Load(), time.Since(start); n > 1+int64(took/(2*time.Second)) {
		t.Errorf("%d reports were made in %v", n, took)
	}
	got, err := answered(ctx, func() ([]byte, error) { return first.node.Report(ctx, second.node.Snapshot().Self.ID) })
	if err != nil || string(got) != "short" {
		t.Errorf("%q, %v", got, err)
	}
	of := second.node.Snapshot().Self.ID
	second.stop()
	if got, err := first.node.Report(ctx, of); !errors.Is(err, gossip.ErrNoReport) {
		t.Errorf("of a node that is gone: %q, %v", got, err)
	}
	if _, err := first.node.Report(ctx, NodeID{1}); !errors.Is(err, gossip.ErrNotUp) {
		t.Errorf("of an unknown node: %v", err)
	}
}

// answered asks until there is an answer, as the page does: on a busy machine
// an answer may take longer than a node waits for it.
func answered(ctx context.Context, ask func() ([]byte, error)) (got []byte, err error) {
	for {
		if got, err = ask(); !errors.Is(err, gossip.ErrNoReport) || ctx.Err() != nil {
			return got, err
		}
	}
}

// A question goes to the node that is meant, with the name of the asking one.
func TestLeaseHoldersAnswerEachOther(t *testing.T) {
	t.Parallel()
	answering := func(c *Config) {
		c.Answer = func(from NodeID, question []byte) []byte { return append([]byte(from.String()+" asks "), question...) }
	}
	first := newHost(t, answering)
	first.start()
	first.leased()
	second := newHost(t, joining(first))
	second.start()
	first.seesHolding(second, second.leased())
	second.seesHolding(first, first.leased())
	ctx, cancel := context.WithTimeout(t.Context(), waitAtMost)
	defer cancel()
	question := bytes.Repeat([]byte("?"), MaxQuestion)
	want := second.node.Snapshot().Self.ID.String() + " asks " + string(question)
	got, err := answered(ctx, func() ([]byte, error) { return second.node.Ask(ctx, first.node.Snapshot().Self.ID, question) })
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := first.node.Ask(ctx, second.node.Snapshot().Self.ID, question); !errors.Is(err, gossip.ErrNoReport) {
		t.Errorf("a node that answers nothing: %q, %v", got, err)
	}
}

// A node of an earlier version would log an inquiry as foreign traffic.
func TestNodesOfAnEarlierVersionAreNotAsked(t *testing.T) {
	t.Parallel()
	first := reporting(t, func() []byte { return []byte("here") })
	first.start()
	first.leased()
	old := reporting(t, func() []byte { t.Error("it was asked"); return nil }, first)
	old.speaks = wire.Versions{Min: 2, Max: wire.ReportVersion - 1}
	old.start()
	first.seesHolding(old, old.leased())
	if _, err := first.node.Report(t.Context(), old.node.Snapshot().Self.ID); !errors.Is(err, gossip.ErrTooOld) {
		t.Errorf("got %v", err)
	}
	// One with reports would take a question for an inquiry for its report.
	later := reporting(t, func() []byte { t.Error("it was asked"); return nil }, first)
	later.speaks = wire.Versions{Min: 2, Max: wire.QuestionVersion - 1}
	later.start()
	first.seesHolding(later, later.leased())
	if _, err := first.node.Ask(t.Context(), later.node.Snapshot().Self.ID, []byte("?")); !errors.Is(err, gossip.ErrTooOld) {
		t.Errorf("got %v", err)
	}
}

// What is too long to report is not reported in part.
func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second := reporting(t, func() []byte { return make([]byte, MaxReport+1) }, first)
	second.start()
	first.seesHolding(second, second.leased())
	start := time.Now()
	if got, err := first.node.Report(t.Context(), second.node.Snapshot().Self.ID); !errors.Is(err, gossip.ErrNoReport) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
