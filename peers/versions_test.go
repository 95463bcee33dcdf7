// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"io"
	"log"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
)

// A node of the next version works beside one of this.
func TestNextVersionWorksBesideThisOne(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	next := newHost(t, joining(first))
	next.speaks = wire.Versions{Min: wire.ProtocolMax, Max: wire.ProtocolMax + 1}
	next.start()
	lease := next.leased()
	first.seesHolding(next, lease)
	next.sees(first, Alive)
	third, _ := joinedHost(t, next)
	next.sees(third, Alive)
	first.sees(third, Alive)
}

// A node that does not speak this version is refused by name on both sides.
func TestVersionThatIsNotSpokenIsRefusedOnBothSides(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	later := newHost(t, joining(first))
	later.speaks = wire.Versions{Min: wire.ProtocolMax + 1, Max: wire.ProtocolMax + 2}
	later.start()
	later.logs("seed="+first.gossip(), "it speaks versions 2 to 4 of the protocol, this node versions 5 to 6; upgrade the older one")
	first.logs("it speaks versions 5 to 6 of the protocol, this node versions 2 to 4; upgrade the older one", "from="+later.config.Advertise.String())
	if s := later.node.Snapshot(); s.Network.Prefix.IsValid() || len(first.node.Snapshot().Nodes) != 1 {
		t.Errorf("it is in %v", s.Network)
	}
}

// oldNode is a member as flanneld 0.1 makes it.
func oldNode(t *testing.T, key []byte) *memberlist.Memberlist {
	t.Helper()
	c := memberlist.DefaultLANConfig()
	addr := nextHost()
	c.Name, c.BindAddr, c.BindPort, c.AdvertiseAddr, c.AdvertisePort = "old", addr.String(), int(testPort), addr.String(), int(testPort)
	c.Label, c.SecretKey, c.EnableCompression = "flanneld", key, false
	c.Logger = log.New(io.Discard, "", 0)
	list, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.Shutdown() })
	return list
}

// A node of 0.1 is named, whichever of the two calls the other.
func TestNodeOfTheLastFormatIsNamed(t *testing.T) {
	t.Parallel()
	for what, key := range map[string][]byte{"open": nil, "sealed": make([]byte, 32)} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			old := oldNode(t, key)
			h := newHost(t, nil)
			h.config.Join = []string{netip.AddrPortFrom(netip.MustParseAddr(old.LocalNode().Addr.String()), testPort).String()}
			h.start()
			h.logs("seed cannot be joined", "it runs flanneld 0.1, which speaks another format: upgrade it")
			if _, err := old.Join([]string{h.gossip()}); err == nil {
				t.Error("it has joined")
			}
			h.logs("refused a node that runs flanneld 0.1, which speaks another format: upgrade it", "from=127.")
			if n := strings.Count(h.log.String(), "refused a node that runs flanneld 0.1"); n > 2 { // it calls from two addresses
				t.Errorf("said %d times", n)
			}
		})
	}
}
