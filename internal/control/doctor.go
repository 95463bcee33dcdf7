// SPDX-License-Identifier: Apache-2.0

package control

// Verdicts of a Check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // it works, and something is not as it should be
	CheckBroken  = "broken"  // packets are lost, or a start would fail
	// CheckSkipped: it could not be made, most often without root. Nothing is
	// known.
	CheckSkipped = "not checked"
)

// CheckGroups are the groups of checks, in the order in which they are shown.
var CheckGroups = []string{"daemon", "settings", "host", "network", "peers", "containers"}

// Doctor is what `flanneld doctor` found.
type Doctor struct {
	// OK is true while no check is broken.
	OK bool `json:"ok"`
	// Summary counts the verdicts, and names the first thing that is broken.
	Summary string `json:"summary"`
	Version string `json:"version"` // of the command, not of the daemon
	Host    string `json:"host"`    // its name
	Time    string `json:"time"`    // RFC 3339
	Running bool   `json:"running"` // a daemon answered
	// Checks are ordered by group.
	Checks []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	Group   string `json:"group"`
	Name    string `json:"name"`    // docs/doctor.md says what each means
	Verdict string `json:"verdict"` // ok, warning, broken, not checked
	Text    string `json:"text"`    // what was found, one line
	Advice  string `json:"advice"`  // what to type or to change; "" where it is ok
}
