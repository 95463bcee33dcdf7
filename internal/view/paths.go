// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/probe"
)

// paths returns what is known of the data paths, by node ID or static peer; nil
// while there is no data plane.
func (v *View) paths() map[string]probe.Result {
	if m := v.Live().Monitor; m != nil {
		return m.Paths()
	}
	return nil
}

// detours says, by node ID or static peer, what is in the way of packets to it.
func (v *View) detours() map[string][]string {
	if m := v.Live().Monitor; m != nil {
		return m.Detours()
	}
	return nil
}

// countPaths counts data paths by state.
func countPaths(found map[string]probe.Result) (c control.Paths) {
	for _, r := range found {
		switch r.State {
		case probe.Works:
			c.Works++
		case probe.SmallOnly:
			c.SmallOnly++
		case probe.Failed:
			c.Failed++
		default:
			c.Unproven++
		}
	}
	return c
}

var pathStates = map[probe.State]string{
	probe.Unproven: control.PathUnproven, probe.Works: control.PathWorks,
	probe.SmallOnly: control.PathSmallOnly, probe.Failed: control.PathFailed,
}

// pathOf is a result as `nodes` shows it.
func pathOf(r probe.Result) control.Path {
	return control.Path{
		State: pathStates[r.State], Since: control.SecondsOf(time.Since(r.Since)), RTT: control.SecondsOf(r.RTT),
		Sent: r.Sent, Lost: r.Lost, Size: r.Size, Note: pathNote(r),
	}
}

// pathNote says in short what is wrong with a path, or odd.
func pathNote(r probe.Result) string {
	switch {
	case r.State == probe.Failed && r.Refused != nil:
		return fmt.Sprintf("this host does not send to it: %v", r.Refused)
	case r.State == probe.Failed && r.Arriving:
		return "packets come from it, but it does not answer"
	case r.State == probe.Failed:
		return "it does not answer, and nothing comes from it"
	case r.State == probe.SmallOnly:
		return fmt.Sprintf("packets of %d bytes are lost", r.Tried)
	case r.ForwardsOnly:
		return "it forwards, but answers no pings"
	}
	return ""
}
