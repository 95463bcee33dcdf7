// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"flanneld/internal/bounded"
)

// maxOutput bounds what is kept of a program's output, in bytes.
const maxOutput = 64 << 10

// output runs a program within its time, and returns what it prints, without
// the blanks at its ends. In tests with files of their own no program runs.
func (e *exam) output(ctx context.Context, name string, args ...string) (string, error) {
	if e.Files != "" {
		return "", exec.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.WaitDelay = time.Second
	out := bounded.Writer{Limit: maxOutput}
	c.Stdout = &out
	err := c.Run()
	return strings.TrimSpace(string(out.Bytes())), err
}
