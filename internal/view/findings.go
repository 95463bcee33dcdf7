// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"strings"

	"flanneld/internal/control"
	"flanneld/internal/host"
	"flanneld/internal/host/link"
	"flanneld/internal/problem"
)

// findings is what a check of the host found, one for each part.
type findings []host.Finding

// text is what a part found, on one line; "" where all is well.
func (all findings) text(part string) string {
	for _, f := range all {
		if f.Part == part {
			return strings.Join(f.Wrong, "; ")
		}
	}
	return ""
}

// device is how the device is, as status shows it.
func (all findings) device() (state, note string) {
	for _, f := range all {
		switch {
		case f.Part != problem.PartDevice:
		case errors.Is(f.Err, link.ErrNoDevice):
			return control.DeviceAbsent, "deleted by another program"
		case f.Err != nil:
			return control.DeviceBroken, f.Err.Error()
		case len(f.Wrong) > 0:
			return control.DeviceBroken, strings.Join(f.Wrong, "; ")
		}
	}
	return control.DeviceUp, ""
}

// problems lists what was found, without the device, which the status shows. A
// part that is being repaired, or could not be checked in time, is no problem:
// the guard reports it where that takes long.
func (all findings) problems() (problems []control.Problem) {
	for _, f := range all {
		switch {
		case f.Part == problem.PartDevice, errors.Is(f.Err, host.ErrPending), errors.Is(f.Err, context.DeadlineExceeded):
		case len(f.Wrong) > 0:
			problems = append(problems, control.Problem{Part: f.Part, Text: strings.Join(f.Wrong, "; ")})
		case f.Err != nil:
			problems = append(problems, control.Problem{Part: f.Part, Text: "cannot be checked: " + f.Err.Error()})
		}
	}
	return problems
}
