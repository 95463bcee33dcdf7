// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// scene is a host and a daemon that a test tells what to answer.
type scene struct {
	*Watcher
	log      strings.Builder
	problems *problem.Board

	choice    underlay.Underlay
	choosing  error
	addresses []string // that the host has
	others    []underlay.Underlay

	refusal error // of Move
	moves   []string
	backs   int
}

func (s *scene) Choose(o underlay.Options) (underlay.Underlay, error) { return s.choice, s.choosing }

func (s *scene) At(_ underlay.Options, a netip.Addr) (underlay.Underlay, bool, error) {
	for _, have := range s.addresses {
		if have == a.String() {
			return at(have), true, nil
		}
	}
	return underlay.Underlay{}, false, nil
}

func (s *scene) Others(underlay.Options, netip.Addr, []netip.Addr) ([]underlay.Underlay, error) {
	return s.others, nil
}

func (s *scene) Move(to underlay.Underlay) error {
	if s.refusal == nil {
		s.moves = append(s.moves, to.Addr.String())
	}
	return s.refusal
}

func (s *scene) Moved() error { s.moves = append(s.moves, "moved"); return nil }

func (s *scene) AddressBack() error { s.backs++; return nil }

const first, second = "192.168.1.1", "192.168.2.1"

// newScene is a node at first, which the host has and would choose.
func newScene(t *testing.T) *scene {
	s := &scene{choice: at(first), addresses: []string{first}}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	s.problems = problem.NewBoard(slog.New(slog.DiscardHandler))
	s.Watcher = New(Config{
		Options: underlay.Options{Device: "flannel0"}, Here: at(first), MTU: 1472, Overhead: 28, Seeds: []string{"192.0.2.7", "192.0.2.8:9"},
		Mover: s, Problems: s.problems, Log: log,
	})
	s.Watcher.host = s
	t.Cleanup(func() { s.timer.Stop() })
	return s
}

// check runs a check, and returns how long after it the next one is due.
func (s *scene) check(t *testing.T) time.Duration {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return time.Until(s.due).Round(100 * time.Millisecond)
}

// stood makes the last other choice an old one.
func (s *scene) stood() { s.since = time.Now().Add(-time.Hour) }

// silence makes the members silent.
func (s *scene) silence() {
	s.Listen(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2)), time.Now().Add(-time.Minute))
}

func TestNothingHappensWhileNothingIsWrong(t *testing.T) {
	s := newScene(t)
	if next := s.check(t); next != reported || len(s.moves) != 0 || s.log.Len() != 0 || len(s.problems.All()) != 0 {
		t.Errorf("next check in %v, moves %v, problems %v, logged %s", next, s.moves, s.problems.All(), s.log.String())
	}
	s.choice.MTU = 9000
	if s.check(t); s.Here().MTU != 9000 {
		t.Errorf("the new MTU was not noted: %+v", s.Here())
	}
}

func TestALostAddressIsLeftForAnotherOfTheInterface(t *testing.T) {
	s := newScene(t)
	s.choice, s.addresses = at(second), []string{second}
	next := s.check(t)
	if !reflect.DeepEqual(s.moves, []string{second, "moved"}) || s.Here() != at(second) {
		t.Fatalf("moves %v, now at %v", s.moves, s.Here())
	}
	if next != Again || !strings.Contains(s.log.String(), "moved to another underlay address") || len(s.problems.All()) != 0 {
		t.Errorf("next check in %v, problems %v, logged %s", next, s.problems.All(), s.log.String())
	}
	// The first address is back. It is home: the node goes there, but not at
	// once.
	s.choice, s.addresses = at(first), []string{first, second}
	if s.check(t); len(s.moves) != 2 {
		t.Fatalf("moved back at once: %v", s.moves)
	}
	s.stood()
	s.check(t)
	if want := []string{second, "moved", first, "moved"}; !reflect.DeepEqual(s.moves, want) || s.Watcher.moves.home.Addr.IsValid() {
		t.Errorf("moves %v, want %v; home %v", s.moves, want, s.Watcher.moves.home)
	}
}

func TestARefusedMoveIsTriedAgainAndLoggedOnce(t *testing.T) {
	s := newScene(t)
	s.choice, s.addresses, s.refusal = at(second), []string{second}, errors.New("port taken")
	for range 3 {
		if next := s.check(t); next != Again || s.Here() != at(first) {
			t.Errorf("next check in %v, now at %v", next, s.Here())
		}
	}
	if n := strings.Count(s.log.String(), "port taken"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, s.log.String())
	}
	s.refusal = peers.ErrNotRunning
	if s.check(t); strings.Contains(s.log.String(), peers.ErrNotRunning.Error()) {
		t.Errorf("logged what ends by itself:\n%s", s.log.String())
	}
	s.refusal = nil
	if s.check(t); s.Here() != at(second) {
		t.Errorf("still at %v", s.Here())
	}
}

func TestAHostWithoutAnAddressIsAProblem(t *testing.T) {
	s := newScene(t)
	s.choosing, s.choice, s.addresses = errors.New("no default route\nat all"), underlay.Underlay{}, nil
	if next := s.check(t); next != Again || len(s.moves) != 0 {
		t.Errorf("next check in %v, moves %v", next, s.moves)
	}
	found := s.problems.All()
	if len(found) != 1 || found[0].Part != problem.PartUnderlay || !strings.Contains(found[0].Text, first+" is on no interface") || !strings.Contains(found[0].Text, "no default route at all") {
		t.Errorf("problems %+v", found)
	}
	s.choosing, s.choice, s.addresses = nil, at(first), []string{first}
	if s.check(t); len(s.problems.All()) != 0 || !strings.Contains(s.log.String(), "is back") {
		t.Errorf("problems %+v, logged %s", s.problems.All(), s.log.String())
	}
}

func TestASmallerMTUIsAProblem(t *testing.T) {
	s := newScene(t)
	s.choice.MTU = 1400
	s.check(t)
	found := s.problems.All()
	if len(found) != 1 || !strings.Contains(found[0].Text, "MTU of eth0 is 1400") || !strings.Contains(found[0].Text, "1372") || !strings.Contains(found[0].Advice, "1500") {
		t.Errorf("problems %+v", found)
	}
}

func TestAnotherChoiceIsOfferedOnce(t *testing.T) {
	s := newScene(t)
	s.choice, s.addresses = at(second), []string{first, second}
	for range 3 {
		s.check(t)
		s.stood()
	}
	if n := strings.Count(s.log.String(), "would be chosen"); n != 1 || len(s.moves) != 0 {
		t.Errorf("offered %d times, moves %v", n, s.moves)
	}
}

func TestTheDataPlaneIsMadeWhenTheAddressIsBack(t *testing.T) {
	s := newScene(t)
	s.addresses, s.choosing = nil, errors.New("no address")
	s.Await(errors.New("cannot assign requested address"))
	if wait := time.Until(s.due); wait > Again {
		t.Errorf("the next check is due in %v", wait)
	}
	if s.check(t); s.backs != 0 {
		t.Error("made without the address")
	}
	s.addresses, s.choosing = []string{first}, nil
	for range 2 {
		s.check(t)
	}
	if s.backs != 1 {
		t.Errorf("made %d times", s.backs)
	}
}

// Finish acts on a trial only where its result still matters.
func TestATrialMovesTheNodeWhereMembersAnswer(t *testing.T) {
	there := at(second)
	for name, c := range map[string]struct {
		prepare func(*scene)
		trial   Trial
		want    []string
	}{
		"members answer there alone": {(*scene).silence, Trial{from: at(first).Addr, reached: &there}, []string{second, "moved"}},
		"members answer here":        {(*scene).silence, Trial{from: at(first).Addr, here: true, reached: &there}, nil},
		"members are not silent":     {func(*scene) {}, Trial{from: at(first).Addr, reached: &there}, nil},
		"no member answers":          {(*scene).silence, Trial{from: at(first).Addr}, nil},
		"it has moved meanwhile":     {(*scene).silence, Trial{from: there.Addr, reached: &there}, nil},
		"the address is lost":        {func(s *scene) { s.addresses = nil }, Trial{from: at(first).Addr, reached: &there}, []string{second, "moved"}},
		"home answers":               {func(s *scene) { s.Watcher.moves.home = there }, Trial{from: at(first).Addr, here: true, reached: &there}, []string{second, "moved"}},
		"nothing answers since the move": {func(s *scene) {
			s.silence()
			s.Watcher.moves.home, s.addresses = there, []string{first, second}
		}, Trial{from: at(first).Addr}, []string{second, "moved"}},
	} {
		s := newScene(t)
		c.prepare(s)
		s.trials.running = true
		if err := s.Finish(c.trial); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(s.moves, c.want) || s.trials.running {
			t.Errorf("%s: moves %v, want %v", name, s.moves, c.want)
		}
	}
}

// Where no member answers, other addresses are tried, the same ones ever more
// seldom.
func TestOtherAddressesAreTriedWhileMembersAreSilent(t *testing.T) {
	s := newScene(t)
	s.silence()
	s.others = []underlay.Underlay{at("127.0.0.3")}
	s.members.where = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")} // refuses
	s.check(t)
	if !s.trials.running || s.trials.failed != 1 {
		t.Fatalf("no trial began: %+v", s.trials)
	}
	s.check(t) // one at a time
	trial := <-s.Trials()
	if err := s.Finish(trial); err != nil || trial.here || trial.reached != nil || len(s.moves) != 0 {
		t.Errorf("result %+v, moves %v, %v", trial, s.moves, err)
	}
	if s.check(t); s.trials.running {
		t.Error("the same addresses are tried again at once")
	}
	s.others = []underlay.Underlay{at("127.0.0.4")}
	if s.check(t); !s.trials.running {
		t.Error("another address is not tried")
	}
	<-s.Trials()
	s.Listen(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)), time.Now())
	if s.trials.failed != 0 || !s.trials.next.IsZero() {
		t.Errorf("members answer, and yet %+v", s.trials)
	}
}

func TestSeedsAreReachedWhileNoMemberIsKnown(t *testing.T) {
	s := newScene(t)
	if got, want := s.targets(), []string{"192.0.2.7:8286", "192.0.2.8:9"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.silence()
	if got, want := s.targets(), []string{"192.0.2.2:8286"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAFlappingAddressIsFollowedEverMoreSlowly(t *testing.T) {
	now := time.Unix(0, 0)
	w := Watcher{moves: moves{home: at(first)}}
	held := true
	stands := func(addr string) time.Duration {
		w.other = underlay.Underlay{}
		begin := now
		for !w.stands(at(addr), held, now) {
			now = now.Add(time.Second)
		}
		return now.Sub(begin)
	}
	var waits []time.Duration
	for range 10 {
		w.moves.add(now)
		waits = append(waits, stands(first))
	}
	if waits[0] != standTime || waits[1] != 2*standTime || waits[9] != 64*standTime {
		t.Errorf("waited %v", waits)
	}
	if got := stands(second); got != standTime {
		t.Errorf("another address stood %v", got)
	}
	held = false
	if got := stands(first); got != standTime {
		t.Errorf("with no other address it stood %v", got)
	}
	held = true
	now = now.Add(movesForgotten)
	w.moves.add(now)
	if got := stands(first); got != standTime {
		t.Errorf("after a quiet time: %v", got)
	}
}

// The kernel reports nothing when members fall silent.
func TestSilenceMakesACheckDue(t *testing.T) {
	now := time.Now()
	s := newScene(t)
	s.due = now.Add(reported)
	s.Listen(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)), now)
	if s.due != now.Add(reported) {
		t.Errorf("a check is due at %v while members answer", s.due)
	}
	s.Listen(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2)), now)
	if wait := s.due.Sub(now); wait > silentAfter+time.Second || wait < silentAfter {
		t.Errorf("the check is due after %v, want %v", wait, silentAfter)
	}
}

func TestAChangeMakesACheckDueSoonButNotAllTheTime(t *testing.T) {
	s := newScene(t)
	s.Start(t.Context())
	if s.Soon(); time.Until(s.due) > AfterChange {
		t.Errorf("a check is due in %v", time.Until(s.due))
	}
	s.check(t)
	if s.Soon(); time.Until(s.due) > Again || time.Until(s.due) < Again/2 {
		t.Errorf("the check after that is due in %v", time.Until(s.due))
	}
	select {
	case <-s.Due():
	case <-time.After(10 * time.Second):
		t.Error("no check was due")
	}
}
