package daemon

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/peers"
)

func at(addr string) underlay.Underlay {
	if addr == "" {
		return underlay.Underlay{}
	}
	return underlay.Underlay{Interface: "eth0", Addr: netip.MustParseAddr(addr)}
}

func TestAnAddressIsLeftOnlyForABetterOne(t *testing.T) {
	const a, b, linkLocal = "192.168.1.1", "192.168.2.1", "169.254.3.3"
	elsewhere := at(b)
	elsewhere.Index = 9
	for name, c := range map[string]struct {
		s    sight
		want verdict
	}{
		"nothing has changed":                  {sight{choice: at(a), held: true, members: true}, stay},
		"another choice, members answer":       {sight{choice: at(b), held: true, stood: true, members: true}, linger},
		"another choice, no members":           {sight{choice: at(b), held: true, stood: true}, linger},
		"another choice, for a moment":         {sight{choice: at(b), held: true, members: true}, stay},
		"nothing to choose":                    {sight{held: true, members: true}, stay},
		"address lost":                         {sight{choice: at(b), members: true}, move},
		"address lost, nothing to choose":      {sight{members: true}, stay},
		"address lost, another link's":         {sight{choice: elsewhere, members: true}, stay},
		"address lost, another link's stands":  {sight{choice: elsewhere, members: true, stood: true}, move},
		"address lost, link-local instead":     {sight{choice: at(linkLocal), members: true}, examine},
		"link-local appears":                   {sight{choice: at(linkLocal), held: true, stood: true, members: true}, linger},
		"no member answers":                    {sight{choice: at(a), held: true, members: true, silent: true}, examine},
		"no member answers, another choice":    {sight{choice: at(b), held: true, stood: true, members: true, silent: true}, examine},
		"no member answers, nothing to choose": {sight{held: true, members: true, silent: true}, examine},
		"home is back":                         {sight{choice: at(b), home: at(b), held: true, stood: true, members: true}, examine},
		"home is back, for a moment":           {sight{choice: at(b), home: at(b), held: true, members: true}, stay},
		"home is back, no members":             {sight{choice: at(b), home: at(b), held: true, stood: true}, goHome},
		"home is back, address lost":           {sight{choice: at(b), home: at(b), members: true}, move},
	} {
		c.s.here = at(a)
		if got := decide(c.s); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if got := decide(sight{choice: at("169.254.9.9"), here: at(linkLocal)}); got != move {
		t.Errorf("from link-local to link-local: got %d", got)
	}
}

func TestAFlappingAddressIsFollowedEverMoreSlowly(t *testing.T) {
	now := time.Unix(0, 0)
	l := lookout{home: at("192.168.1.1")}
	held := true
	stands := func(addr string) time.Duration {
		l.other = underlay.Underlay{}
		begin := now
		for !l.stands(at(addr), held, now) {
			now = now.Add(time.Second)
		}
		return now.Sub(begin)
	}
	var waits []time.Duration
	for range 10 {
		l.count(now)
		waits = append(waits, stands("192.168.1.1"))
	}
	if waits[0] != moveAfter || waits[1] != 2*moveAfter || waits[9] != 64*moveAfter {
		t.Errorf("waited %v", waits)
	}
	if got := stands("192.168.2.1"); got != moveAfter {
		t.Errorf("another address stood %v", got)
	}
	held = false
	if got := stands("192.168.1.1"); got != moveAfter {
		t.Errorf("with no other address it stood %v", got)
	}
	held = true
	now = now.Add(movesForgotten)
	l.count(now)
	if got := stands("192.168.1.1"); got != moveAfter {
		t.Errorf("after a quiet time: %v", got)
	}
}

func TestSilenceIsNoMemberAliveForAWhile(t *testing.T) {
	var a answers
	now := time.Unix(1000, 0)
	hear := func(s *peers.Snapshot, after time.Duration) bool {
		now = now.Add(after)
		a.count(s, now)
		return a.silent(now)
	}
	alone := self(peers.Confirmed)
	for name, s := range map[string]*peers.Snapshot{"alone": alone, "others have left": self(peers.Confirmed, withGossip(node("b", peers.Left, 2)))} {
		if hear(s, 0) || hear(s, time.Minute) || a.members {
			t.Errorf("%s: silent %t, members %t", name, a.silent(now), a.members)
		}
	}
	dead := self(peers.Confirmed, withGossip(node("b", peers.Dead, 2)), withGossip(node("c", peers.Suspect, 3)))
	if hear(dead, 0) || hear(dead, silentAfter-1) {
		t.Error("silent at once")
	}
	if !hear(dead, 1) || len(a.where) != 2 {
		t.Errorf("not silent after %v, members at %v", silentAfter, a.where)
	}
	if hear(self(peers.Confirmed, withGossip(node("b", peers.Dead, 2)), withGossip(node("c", peers.Alive, 3))), time.Second) {
		t.Error("silent with a member alive")
	}
	joining := &peers.Snapshot{Lease: peers.Joining}
	if hear(joining, 0) || !hear(joining, silentAfter) {
		t.Error("seeds that do not answer are no silence")
	}
}

func withGossip(n peers.NodeInfo) peers.NodeInfo {
	n.Gossip = netip.MustParseAddrPort("192.0.2.1:8286")
	return n
}

// Sockets of different loopback addresses stand for the host's addresses.
func TestTrialFindsWhereMembersAreReachedFrom(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	here, there := netip.MustParseAddr("127.77.0.2"), netip.MustParseAddr("127.77.0.3")
	nowhere := netip.MustParseAddr("192.0.2.77") // no address of this host
	answers, silent := listener.Addr().String(), "127.77.0.9:9"
	for name, c := range map[string]struct {
		here    netip.Addr
		others  []netip.Addr
		targets []string
		answer  bool
		reached netip.Addr
	}{
		"from here and there":       {here, []netip.Addr{there}, []string{silent, answers}, true, there},
		"from there alone":          {nowhere, []netip.Addr{there}, []string{answers}, false, there},
		"from the second":           {nowhere, []netip.Addr{nowhere, there}, []string{answers, silent}, false, there},
		"from nowhere":              {here, []netip.Addr{there}, []string{silent}, false, netip.Addr{}},
		"targets that do not exist": {here, []netip.Addr{there}, []string{"no.such.host.invalid:8286"}, false, netip.Addr{}},
	} {
		var others []underlay.Underlay
		for _, a := range c.others {
			others = append(others, underlay.Underlay{Addr: a})
		}
		got := try(c.here, others, c.targets)
		var reached netip.Addr
		if got.reached != nil {
			reached = got.reached.Addr
		}
		if got.here != c.answer || reached != c.reached {
			t.Errorf("%s: here %t, reached %v", name, got.here, reached)
		}
	}
}

// The kernel reports nothing when members fall silent.
func TestSilenceMakesALookDue(t *testing.T) {
	now := time.Now()
	l := lookout{timer: time.NewTimer(lookTold), due: now.Add(lookTold)}
	defer l.timer.Stop()
	l.listen(self(peers.Confirmed, withGossip(node("b", peers.Alive, 2))), now)
	if l.due != now.Add(lookTold) {
		t.Errorf("a look is due at %v while members answer", l.due)
	}
	l.listen(self(peers.Confirmed, withGossip(node("b", peers.Dead, 2))), now)
	if wait := l.due.Sub(now); wait > silentAfter+time.Second || wait < silentAfter {
		t.Errorf("the look is due after %v, want %v", wait, silentAfter)
	}
}
