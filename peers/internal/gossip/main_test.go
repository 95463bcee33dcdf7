// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine is left after the tests. memberlist's probe
// loop looks up only when its probe is over: it gets that long.
func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for late := time.Now().Add(2 * suspectFor); err != nil && time.Now().Before(late); err = goleak.Find() {
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// giveUpAfter is how long a test waits for what should come within seconds.
const giveUpAfter = 60 * time.Second

// testNetwork is the overlay network of these tests.
var testNetwork = netip.MustParsePrefix("10.244.0.0/16")

// Each transport has a loopback address of its own: on Linux all of 127/8 is
// this host. The net is random, so that two runs do not meet.
var (
	addresses = atomic.Uint32{}
	addressOf = [2]byte{127, byte(192 + rand.IntN(32))}
)

func nextAddr() netip.Addr {
	n := addresses.Add(1)
	return netip.AddrFrom4([4]byte{addressOf[0], addressOf[1], byte(n >> 8), byte(n)})
}
