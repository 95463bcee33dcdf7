// SPDX-License-Identifier: Apache-2.0

package control

// Health is the verdict on this node, the first line of `status` and `nodes`.
type Health struct {
	// OK is true only while nothing is wrong: Status.Problems is empty. What it
	// stands on was proven by packets or asked of the kernel.
	OK bool `json:"ok"`
	// Summary is "ok", or the number of problems and the first one.
	Summary string `json:"summary"`
}
