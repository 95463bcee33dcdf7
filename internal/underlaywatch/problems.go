// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"fmt"

	"flanneld/internal/problem"
)

// report reports what is wrong with the underlay: held is whether the host has
// the address in use, choosing why there is no other.
func (w *Watcher) report(held bool, choosing error) {
	var problems []problem.Problem
	here, device := w.Here(), w.cfg.Options.Device
	if !held {
		text := fmt.Sprintf("the underlay address %s is on no interface that is up", here.Addr)
		if choosing != nil {
			text += ", and there is no other: " + problem.OneLine(choosing.Error())
		}
		problems = append(problems, problem.Problem{Text: text, Advice: "bring the interface and its address back, or name another with --iface and restart flanneld"})
	}
	if fits := here.MTU - w.cfg.Overhead; held && fits < w.cfg.MTU {
		problems = append(problems, problem.Problem{
			Text: fmt.Sprintf("the MTU of %s is %d now: packets of more than %d bytes are fragmented or refused, and %s takes %d",
				here.Interface, here.MTU, fits, device, w.cfg.MTU),
			Advice: fmt.Sprintf("raise it to %d again, or restart flanneld, then what runs the containers, to use the smaller one", w.cfg.MTU+w.cfg.Overhead),
		})
	}
	if setting := linkdownIgnored(device); setting != "" {
		problems = append(problems, problem.Problem{
			Text:   setting + " is 1: while flanneld is stopped, packets for containers leave by the default route",
			Advice: "sysctl -w " + setting + "=0",
		})
	}
	w.cfg.Problems.Report(problem.PartUnderlay, problems...)
}
