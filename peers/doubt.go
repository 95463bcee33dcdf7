package peers

import (
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/core"
)

// A member that gossip has given up is in doubt: before it counts as dead this node asks it, and for as long as it answers it is up
// here, whatever others say. In a network that is cut in one direction, or where some see both sides, those who cannot see a member
// tell those who can that it is dead; and its refutation may take the same wrong way as the answers that they missed.
const (
	doubtFor    = 500 * time.Millisecond // before a member that does not answer is dead
	answerHolds = 3 * time.Second        // the same, after it has answered
	askAgain    = 200 * time.Millisecond // while it does not answer
	askNext     = time.Second            // after an answer, until gossip has it alive again
	maxAsking   = 64                     // questions under way; those who then cannot be asked in time are dead
)

// doubt is about one member.
type doubt struct {
	until    time.Time // when the member is dead if it does not answer
	ask      time.Time // when to ask it next
	answered bool
}

// giveUp has a member that gossip says is dead be in doubt. An earlier start of a node that is up ends without a question.
func (r *roster) giveUp(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m == nil {
		return
	}
	if last, _ := latest(r.nodes[m.id]); last.start > m.start {
		r.remove(m)
		return
	}
	r.doubts[name] = &doubt{until: now.Add(doubtFor), ask: now}
	r.touch(m.id)
}

// believe ends the doubts about nodes that have left, as they say themselves.
func (r *roster) believe(left func(core.NodeID) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.doubts {
		if m := r.members[name]; left(m.id) {
			r.remove(m)
		}
	}
}

// inDoubt reports whether the member that counts for a node is.
func (r *roster) inDoubt(id core.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, up := latest(r.nodes[id])
	return up && r.doubts[m.node.Name] != nil
}

// questions returns up to so many members to ask now, and takes those out that have not answered in time.
func (r *roster) questions(now time.Time, most int) []memberlist.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []memberlist.Node
	for name, d := range r.doubts {
		m := r.members[name]
		switch {
		case !now.Before(d.until):
			r.remove(m)
		case !now.Before(d.ask) && len(due) < most:
			d.ask = now.Add(askAgain)
			due = append(due, m.node)
		}
	}
	return due
}

// settle notes an answer of a member in doubt; r.mu is held.
func (r *roster) settle(m *member, now time.Time) {
	d := r.doubts[m.node.Name]
	if d == nil {
		return
	}
	if !d.answered {
		r.touch(m.id)
	}
	d.answered, d.until, d.ask = true, now.Add(answerHolds), now.Add(askNext)
}

// ask puts the question to members in doubt, without waiting for answers. Only the core's goroutine calls it.
func (g *gossip) ask(now time.Time) {
	for _, n := range g.roster.questions(now, cap(g.asking)-len(g.asking)) {
		g.asking <- struct{}{}
		go func() { // a probe's time-out, at most
			defer func() { <-g.asking }()
			if rtt, err := g.list.Ping(n.Name, &net.UDPAddr{IP: n.Addr, Port: int(n.Port)}); err == nil {
				g.roster.answered(n.Name, rtt, time.Now())
			}
		}()
	}
}
