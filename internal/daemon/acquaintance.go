package daemon

import (
	"time"

	"flanneld/peers"
)

// meetingTime is how long after the first other node was met the rest may take
// to be heard of. By then gossip has told who is alive.
const meetingTime = 30 * time.Second

// acquaintance knows which nodes gossip has seen alive since this start. The
// others are in the table from an earlier start, and shown as dead because
// nobody has said otherwise yet; but most of them live, and packets to them must
// not be answered with errors at every restart, nor at all while gossip reaches
// nobody. Belongs to the goroutine of Run.
type acquaintance struct {
	met     map[string]bool // by node ID
	ending  <-chan time.Time
	settled bool // who was not met by now is dead
}

// meet notes who is alive in a snapshot.
func (a *acquaintance) meet(s *peers.Snapshot) {
	for _, n := range s.Nodes {
		if n.Self || n.State != peers.Alive && n.State != peers.Suspect {
			continue
		}
		if a.met == nil {
			a.met = map[string]bool{}
			a.ending = time.After(meetingTime)
		}
		a.met[n.ID] = true
	}
}

// end takes the table's word from now on.
func (a *acquaintance) end() { a.settled, a.ending = true, nil }

// unmet says that a node's state is only remembered.
func (a *acquaintance) unmet(id string) bool { return !a.settled && !a.met[id] }
