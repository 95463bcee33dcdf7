// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/packet"
)

// passing is a device that packets pass as a test says.
type passing struct {
	packets chan [2]bool // request, sent
	closed  chan struct{}
}

func (p passing) Next() (request, sent bool, err error) {
	select {
	case one := <-p.packets:
		return one[0], one[1], nil
	case <-p.closed:
		return false, false, io.EOF
	}
}

func (p passing) Close() error { close(p.closed); return nil }

// devices are those of a host by name. The ones that are not there cannot be
// opened.
type devices map[string]passing

func (d devices) watcher() *Watcher {
	return &Watcher{Open: func(device string, _ Question) (Echoes, error) {
		one, ok := d[device]
		if !ok {
			return nil, errors.New("no such device")
		}
		one.closed = make(chan struct{})
		return one, nil
	}}
}

// found hands over devices that are known already.
func (at Devices) found() Devices { return at }

func hostDevices(names ...string) devices {
	d := devices{}
	for _, name := range names {
		d[name] = passing{packets: make(chan [2]bool)}
	}
	return d
}

// What passes which device, and which way, is one sight. The same question goes
// on with the same watch.
func TestAWatcherTellsWherePacketsPass(t *testing.T) {
	const request, answer, sent, received = true, false, true, false
	for device, c := range map[string]struct {
		passes [][2]bool
		want   Sight
	}{
		"flannel0":  {[][2]bool{{request, received}}, Sight{Came: true}},
		"flannel.1": {[][2]bool{{request, received}, {answer, sent}}, Sight{Came: true, Returned: true}},
		"veth2":     {[][2]bool{{request, sent}}, Sight{Left: true}},
		"docker0":   {[][2]bool{{request, sent}, {answer, received}}, Sight{Left: true, Answered: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := hostDevices("flannel0", "flannel.1", "docker0", "veth2")
			w := d.watcher()
			defer w.Close()
			at := Devices{Outer: []string{"flannel0", "flannel.1", "", "flannel.ipip"}, Bridge: "docker0", Ports: []string{"veth1", "veth2"}}
			q := Question{ID: 1, To: remote}
			if got, err := w.Answer(q, at.found); err != nil || got != (Sight{Bridge: "docker0"}) {
				t.Fatalf("at first %+v, %v", got, err)
			}
			for _, one := range c.passes {
				d[device].packets <- one
			}
			synctest.Wait()
			c.want.Bridge = "docker0"
			again := func() Devices { t.Error("devices are looked for again"); return at }
			if got, err := w.Answer(q, again); err != nil || got != c.want {
				t.Errorf("%s: %+v, %v, want %+v", device, got, err, c.want)
			}
		})
	}
}

// A watch ends by itself, and there are so many and no more.
func TestWatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := hostDevices("flannel0")
		w := d.watcher()
		defer w.Close()
		at := Devices{Outer: []string{"flannel0"}}
		for id := range uint16(maxWatches) {
			if _, err := w.Answer(Question{ID: id, To: remote}, at.found); err != nil {
				t.Fatal(err)
			}
		}
		late := Question{ID: 99, To: remote}
		if _, err := w.Answer(late, at.found); !errors.Is(err, errWatches) {
			t.Errorf("one more: %v", err)
		}
		if _, err := w.Answer(Question{ID: 0, To: remote}, at.found); err != nil {
			t.Errorf("one that is known: %v", err)
		}
		time.Sleep(watchTime + time.Second)
		if _, err := w.Answer(late, at.found); err != nil || len(w.open) != 1 {
			t.Errorf("after their time: %v, %d watches", err, len(w.open))
		}
		w.Close()
		if _, err := w.Answer(late, Devices{Outer: []string{"gone", "flannel0"}}.found); err == nil || len(w.open) > 0 {
			t.Errorf("without the overlay device: %v, %d watches", err, len(w.open))
		}
		if _, err := w.Answer(late, Devices{Outer: []string{"flannel0"}, Bridge: "gone"}.found); err == nil {
			t.Error("without the bridge there is an answer")
		}
	})
}

// Each thing that the other host has seen makes another verdict.
func TestASightTellsALossFromASilentContainer(t *testing.T) {
	peer := Answer{TTL: 3, From: there, Kind: packet.ICMPTimeExceeded}
	for _, c := range []struct {
		what  string
		sight Sight
		last  Place
		words []string
	}{
		{"dropped there", Sight{Came: true, Bridge: "docker0"}, Peer, []string{"lost on beta (daqidas2), between its routing and docker0", "FORWARD", "on beta: "}},
		{"no bridge there", Sight{Came: true}, Peer, []string{"no bridge there has the subnet", "systemctl restart docker"}},
		{"the container is silent", Sight{Came: true, Left: true, Bridge: "docker0"}, PeerBridge, []string{"does not take pings", "try its service"}},
		{"the answer is dropped there", Sight{Came: true, Left: true, Answered: true, Bridge: "docker0"}, Container, []string{"does not send it on", "FORWARD"}},
		{"that cannot be seen", Sight{Came: true, Left: true, Answered: true, Blind: true, Bridge: "docker0"}, Container, []string{"or it is lost on the way back"}},
		{"the answer is lost here", Sight{Came: true, Left: true, Answered: true, Returned: true, Bridge: "docker0"}, Container, []string{"sent the answer on its way", "docker0 of this host", "flanneld doctor"}},
	} {
		g := ground()
		g.Sight = &c.sight
		for _, answers := range [][]Answer{{peer}, nil} { // the kernel there may send no more ICMP errors
			s := g.Tell(Result{From: first, Answers: answers})
			if s.Last != c.last || s.Arrived || s.Advice == "" {
				t.Errorf("%s: %+v", c.what, s)
			}
			for _, word := range c.words {
				if !strings.Contains(s.Verdict+"|"+s.Advice, word) {
					t.Errorf("%s: no %q in %s (%s)", c.what, word, s.Verdict, s.Advice)
				}
			}
			if with := slices.ContainsFunc(s.Stations, func(one Station) bool { return one.Place == PeerBridge }); with != (c.sight.Bridge != "") {
				t.Errorf("%s: stations %+v", c.what, s.Stations)
			}
		}
	}
	g := ground()
	g.Sight = &Sight{Bridge: "docker0"}
	s := g.Tell(Result{From: first, Answers: []Answer{{TTL: 2, From: overlay, Kind: packet.ICMPTimeExceeded}}})
	if s.Last != Flanneld || !strings.Contains(s.Verdict, "beta (daqidas2), which was asked, has not had it") {
		t.Errorf("lost on the underlay: %+v", s)
	}
}
