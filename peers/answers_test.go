// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A node answers while it runs, has nothing to answer before, and does not
// afterwards, nor while it hangs.
func TestARunningNodeAnswers(t *testing.T) {
	h := newHost(t, nil)
	node, err := Open(h.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Answers(t.Context()); err != nil {
		t.Errorf("before Run: %v", err)
	}
	h.run(node)
	h.leased()
	if err := node.Answers(t.Context()); err != nil {
		t.Errorf("while it runs: %v", err)
	}

	busy, free := make(chan struct{}), make(chan struct{})
	go func() {
		_ = node.do(context.Background(), node.engine.Load(), func() error {
			close(busy)
			<-free
			return nil
		})
	}()
	<-busy
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := node.Answers(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it hangs: %v", err)
	}
	close(free)
	h.stop()
	if err := node.Answers(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Run: %v", err)
	}
}
