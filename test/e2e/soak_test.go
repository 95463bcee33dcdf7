// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"flanneld/test/lab"
)

// soakVariable lengthens the soak, in minutes.
const soakVariable = "FLANNELD_SOAK_MINUTES"

// TestSoak keeps traffic going between three hosts while their daemons are
// restarted at random, and looks at the end for what has been left behind. One
// daemon is never restarted: a leak grows there.
func TestSoak(t *testing.T) {
	length := time.Minute
	if text := os.Getenv(soakVariable); text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s=%s: %v", soakVariable, text, err)
		}
		length = time.Duration(minutes * float64(time.Minute))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%v with seed %d", length, seed)
	random := rand.New(rand.NewPCG(seed, 0))

	l := lab.New(t)
	h1, h2, h3 := l.Trio("--ip-masq")
	pods := []*lab.Pod{h1.Pod(), h2.Pod(), h3.Pod()}
	settle(t, l, pods)
	before := usage(t, h1)
	rules := firewall(t, h1)
	leases := []string{h1.Lease().String(), h2.Lease().String(), h3.Lease().String()}

	restarts, transfers := 0, 0
	var memory []int // KiB, after each transfer
	for end := time.Now().Add(length); time.Now().Before(end); {
		victim := l.Hosts()[1+random.IntN(2)]
		switch random.IntN(3) {
		case 0:
			victim.Daemon.Kill()
		case 1:
			victim.Daemon.Stop()
		case 2: // no user
			victim = nil
		}
		if victim != nil {
			restarts++
			victim.Start("--ip-masq", "--join", h1.Addr.String()).WaitReady(ready)
		}
		from := random.IntN(3)
		to := (from + 1 + random.IntN(2)) % 3
		reached(t, l, pods[from], pods[to])
		lab.SendTCP(t, pods[from].Namespace, pods[to].Namespace, at(pods[to].Addr, 7000), 1<<20+random.Int64N(8<<20))
		lab.SendUDP(t, pods[to].Namespace, pods[from].Namespace, at(pods[from].Addr, 7000), 20, 64+random.IntN(3000))
		transfers++
		u, err := h1.Daemon.Usage()
		if err != nil {
			t.Fatal(err)
		}
		memory = append(memory, u.Memory)
		if transfers%20 == 0 {
			t.Logf("%v left: %d restarts, %d transfers, %+v", time.Until(end).Round(time.Second), restarts, transfers, usage(t, h1))
		}
	}
	settle(t, l, pods)
	t.Logf("%d restarts, %d transfers", restarts, transfers)

	for i, h := range l.Hosts() {
		if h.Lease().String() != leases[i] {
			t.Errorf("%s has %v, it had %s", h.NodeName, h.Lease(), leases[i])
		}
		if now := firewall(t, h); i == 0 && now != rules {
			t.Errorf("the rules of %s became\n%s\nfrom\n%s", h.NodeName, now, rules)
		}
	}
	// Things may be a little busier than at first; a leak grows with restarts.
	var after figures
	err := lab.Within(30*time.Second, func() error {
		after = usage(t, h1)
		return lab.Expect(after.descriptors <= before.descriptors+3 && after.goroutines <= before.goroutines+5, "")
	})
	t.Logf("host1 before %+v, after %+v", before, after)
	if err != nil {
		t.Errorf("descriptors or goroutines leak: %+v before, %+v after %d restarts", before, after, restarts)
	}
	leveled(t, length, memory)
	if after.memory > before.memory+40<<10 {
		t.Errorf("memory grew from %d to %d KiB", before.memory, after.memory)
	}
}

// leveled fails the test unless memory has stopped rising in a soak of 20
// minutes or more. The median in the last third of the samples is at most a
// tenth above the one in the middle third. A node remembers earlier starts of
// other nodes for ten minutes, so a shorter soak proves nothing.
func leveled(t *testing.T, length time.Duration, memory []int) {
	t.Helper()
	third := len(memory) / 3
	if third == 0 {
		t.Fatal("no samples of memory")
	}
	median := func(part []int) int {
		sorted := slices.Sorted(slices.Values(part))
		return sorted[len(sorted)/2]
	}
	first, middle, last := median(memory[:third]), median(memory[third:2*third]), median(memory[2*third:])
	t.Logf("memory: medians of the thirds %d, %d, %d KiB, most %d", first, middle, last, slices.Max(memory))
	if length >= 20*time.Minute && last > middle+middle/10 {
		t.Errorf("memory does not level off: %d KiB in the middle third, %d in the last", middle, last)
	}
}

// reached fails the test unless a ping is answered within 10 s. In that case
// the daemons' status is more useful than their logs.
func reached(t *testing.T, l *lab.Lab, from, to *lab.Pod) {
	t.Helper()
	err := lab.Within(10*time.Second, func() error {
		a := from.Ping(t, lab.Echo{To: to.Addr, Wait: 500 * time.Millisecond})
		return lab.Expect(a.From == to.Addr, "%v", a)
	})
	if err == nil {
		return
	}
	for _, h := range l.Hosts() {
		t.Logf("%s\n%s%s", h.Flanneld("status").Stdout, h.Flanneld("nodes").Stdout, h.Exec(t, "ip", "-s", "link"))
	}
	t.Fatalf("a ping from %s to %v: %v", from.Name, to.Addr, err)
}

// settle waits until all agree and reach each other.
func settle(t *testing.T, l *lab.Lab, pods []*lab.Pod) {
	t.Helper()
	l.WaitConverged(len(pods))
	lab.ReachEachOther(t, pods, 10*time.Second)
}

type figures struct {
	descriptors, goroutines int
	memory                  int // KiB
}

func usage(t *testing.T, h *lab.Host) figures {
	t.Helper()
	u, err := h.Daemon.Usage()
	if err != nil {
		t.Fatal(err)
	}
	s := h.Status()
	return figures{u.Descriptors, s.Process.Goroutines, u.Memory}
}
