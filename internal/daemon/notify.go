package daemon

import (
	"strings"
	"unicode"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// maxStatus is how much of a line goes to the service manager, in bytes. It
// shows the beginning only.
const maxStatus = 500

// notifier talks to the service manager that started the daemon, if one did
// (sd_notify(3)). Used by one goroutine.
type notifier struct{ last string }

// send passes assignments on when they are news, one line each. Their values
// may hold what came from other nodes, and the manager obeys each line it gets.
// So every assignment is made one printable line first. There is nothing to do
// about an error: without a manager nothing listens.
func (n *notifier) send(assignments ...string) {
	lines := make([]string, len(assignments))
	for i, a := range assignments {
		lines[i] = printable(a)
	}
	state := strings.Join(lines, "\n")
	if state == n.last {
		return
	}
	n.last = state
	_, _ = sd.SdNotify(false, state)
}

// printable makes one line of at most maxStatus bytes of any text: what is not
// printable, or no text at all, becomes a blank.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= maxStatus {
		return text
	}
	return strings.ToValidUTF8(text[:maxStatus], "")
}
