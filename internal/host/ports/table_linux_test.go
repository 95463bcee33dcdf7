// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
)

// A message holds so many elements at most; the order is the keys'.
func TestElementsGoOutInChunks(t *testing.T) {
	for _, n := range []int{0, 1, chunk, chunk + 1, 2*chunk + 500} {
		keys := map[string]bool{}
		for i := range n {
			keys[addrKey(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))] = true
		}
		var sizes []int
		var sent []string
		if err := each(minus(keys, nil), func(batch []nftables.SetElement) error {
			sizes = append(sizes, len(batch))
			for _, e := range batch {
				sent = append(sent, string(e.Key))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(sent) != n || !slices.IsSorted(sent) || len(slices.Compact(sent)) != n {
			t.Errorf("%d keys: %d were sent", n, len(sent))
		}
		if want := (n + chunk - 1) / chunk; len(sizes) != want || n > 0 && slices.Max(sizes) > chunk {
			t.Errorf("%d keys in chunks of %v", n, sizes)
		}
	}
	failed := errors.New("failed")
	calls := 0
	if err := each(make([]string, 3*chunk), func([]nftables.SetElement) error { calls++; return failed }); !errors.Is(err, failed) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// What the kernel lacks has advice of its own; other errors keep theirs.
func TestKernelsThatLackSomethingAreToldApart(t *testing.T) {
	for errno, lacking := range map[unix.Errno]bool{
		unix.EPROTONOSUPPORT: true, unix.EAFNOSUPPORT: true, unix.EOPNOTSUPP: true, unix.EINVAL: true, unix.ENOENT: true,
		unix.EPERM: false, unix.ENOBUFS: false, unix.EBUSY: false,
	} {
		err := explain(fmt.Errorf("wrapped: %w", errno))
		if errors.Is(err, ErrUnsupported) != lacking || !errors.Is(err, errno) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := explain(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// Counters differ from one reading to the next, everything else counts.
func TestPrintedRulesDifferWhereTheyDecideOtherwise(t *testing.T) {
	sets := setsOf(&nftables.Table{})
	counted := join(toData(sets), []expr.Any{&expr.Counter{Bytes: 9, Packets: 1}, &expr.Verdict{Kind: expr.VerdictDrop}})
	if a, b := printRule(counted), printRule(join(toData(sets), drop())); a != b {
		t.Errorf("a counter is printed: %s and %s", a, b)
	}
	seen := map[string]bool{}
	var all int
	for _, rule := range [][]expr.Any{
		nil, accept(), drop(), jump("a"), jump("b"), skuid(0), skuid(1), in(sets[setData]), in(sets[setGossip]), saddr(),
		protocol(packet.TCP), protocol(packet.UDP), reachedByInput(), beginsConnection(), toData(sets), toGossip(sets),
	} {
		seen[printRule(rule)] = true
		all++
	}
	if len(seen) != all {
		t.Errorf("%d rules have %d texts: %v", all, len(seen), seen)
	}
}

func TestPlaceOfAChainTellsHookPriorityAndPolicy(t *testing.T) {
	drops := nftables.ChainPolicyDrop
	base := func(change func(*nftables.Chain)) *nftables.Chain {
		c := chainOf(&nftables.Table{}, chainSpec{name: "c", hook: nftables.ChainHookInput})
		change(c)
		return c
	}
	places := map[string]bool{}
	for _, c := range []*nftables.Chain{
		base(func(*nftables.Chain) {}),
		base(func(c *nftables.Chain) { c.Hooknum = nftables.ChainHookOutput }),
		base(func(c *nftables.Chain) { c.Priority = nftables.ChainPriorityRef(priority + 1) }),
		base(func(c *nftables.Chain) { c.Policy = &drops }),
		chainOf(&nftables.Table{}, chainSpec{name: "c"}),
	} {
		places[place(c)] = true
	}
	if len(places) != 5 || !places[""] {
		t.Errorf("places %v", places)
	}
	// Old kernels do not say the policy, which is accept then.
	if unsaid := base(func(c *nftables.Chain) { c.Policy = nil }); place(unsaid) != place(base(func(*nftables.Chain) {})) {
		t.Errorf("no policy: %s", place(unsaid))
	}
}

// A configuration that is not valid changes nothing, and is no fault of the
// kernel.
func TestInvalidConfigurationIsRefusedBeforeTheKernelIsAsked(t *testing.T) {
	table, err := New("flannel0", 0)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := table.Ensure(Config{Members: []Member{{Addr: netip.MustParseAddr("fd00::1")}}})
	if err == nil || errors.Is(err, ErrUnsupported) || len(changed) > 0 || table.Created() {
		t.Errorf("changed %q, %v", changed, err)
	}
	for _, device := range []string{"", "a/b", "flannel+", strings.Repeat("x", 16)} {
		if _, err := New(device, 0); err == nil {
			t.Errorf("a table of the device %q", device)
		}
		if err := Remove(device); err == nil {
			t.Errorf("removed the table of the device %q", device)
		}
	}
}

// Changes of the sets are what differs, both ways.
func TestSetsDifferByTheirKeys(t *testing.T) {
	all := func(keys ...string) map[string]bool {
		m := map[string]bool{}
		for _, k := range keys {
			m[k] = true
		}
		return m
	}
	if got := minus(all("c", "a", "b"), all("b", "x")); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("got %q", got)
	}
	e := elements{setData: all("a"), setKinds: all("k")}
	for name, c := range map[string]struct {
		other elements
		equal bool
	}{
		"the same":     {elements{setData: all("a"), setKinds: all("k")}, true},
		"another key":  {elements{setData: all("b"), setKinds: all("k")}, false},
		"one more":     {elements{setData: all("a", "b"), setKinds: all("k")}, false},
		"one less":     {elements{setData: all(), setKinds: all("k")}, false},
		"set is gone":  {elements{setData: all("a")}, false},
		"nothing":      {nil, false},
		"set is empty": {elements{setData: nil, setKinds: nil}, false},
	} {
		if e.equal(c.other) != c.equal {
			t.Errorf("%s: equal %t", name, !c.equal)
		}
	}
}
