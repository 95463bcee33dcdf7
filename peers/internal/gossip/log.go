// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"strings"
	"sync"
	"time"
)

// gossipLog receives memberlist's log, one line a call. Most lines are for its
// developers and go out at debug level. The few that an operator has to act on
// are logged in plain words as well, with the address, and not over and over.
type gossipLog struct{ g *Agent }

// Write implements io.Writer.
func (l gossipLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	l.g.log.Debug("gossip", "memberlist", strings.TrimPrefix(text, "memberlist: "))
	if name, ok := suspected(text); ok {
		l.g.members.failed(name, time.Now())
	}
	if said, host, ok := translate(text); ok && l.g.notices.due(said+host, time.Now()) {
		l.g.log.Warn("gossip: "+said, "from", host)
	}
	return len(line), nil
}

// suspected reads the line by which memberlist says that a probe of its own
// failed. That is the only sign: the State of the nodes it hands out is not
// kept up to date (v0.7.0).
func suspected(line string) (name string, ok bool) {
	_, rest, ok := strings.Cut(line, "memberlist: Suspect ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, " has failed, no acks received")
}

// mergeRefused precedes our own refusal of a join, see [delegate.NotifyMerge].
const mergeRefused = "Failed push/pull merge: "

// translate returns what a line means to an operator, and which host it is
// about; ok is false where it means nothing.
func translate(line string) (meaning, host string, ok bool) {
	rest, from, _ := strings.Cut(line, " from=")
	host = hostOf(from)
	if _, why, found := strings.Cut(rest, mergeRefused); found {
		return "refused a node: " + why, host, true
	}
	if name, found := tcpOnly(line); found {
		return "UDP does not get through to a node, only TCP: open the gossip port for both", name, true
	}
	return "", "", false
}

// hostOf strips the port: each connection comes from another.
func hostOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		return addr[:i]
	}
	return addr
}

// tcpOnly reads the line by which memberlist says that a member answers by TCP
// only.
func tcpOnly(line string) (name string, ok bool) {
	_, rest, ok := strings.Cut(line, "Was able to connect to ")
	if !ok {
		return "", false
	}
	name, _, ok = strings.Cut(rest, " over TCP but UDP probes failed")
	return name, ok
}

// Limits of notices.
const (
	noticeEvery = 10 * time.Minute
	maxNotices  = 256
)

// notices remembers what was logged when, so that it is not logged again too
// soon.
type notices struct {
	mu   sync.Mutex
	said map[string]time.Time
}

func newNotices() *notices { return &notices{said: map[string]time.Time{}} }

// NoticeDue reports whether a notice for the operator may be logged now, and if
// so counts it as logged: each is due again after ten minutes.
func (g *Agent) NoticeDue(notice string, now time.Time) bool { return g.notices.due(notice, now) }

// due reports whether the notice may be logged now, and if so counts it as
// logged. It refuses further notices when too many different ones were logged
// of late.
func (n *notices) due(notice string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.said[notice]; ok && now.Sub(at) < noticeEvery {
		return false
	}
	if len(n.said) >= maxNotices {
		for old, at := range n.said {
			if now.Sub(at) >= noticeEvery {
				delete(n.said, old)
			}
		}
		if len(n.said) >= maxNotices {
			return false
		}
	}
	n.said[notice] = now
	return true
}
