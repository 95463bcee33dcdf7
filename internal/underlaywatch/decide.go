// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import "flanneld/internal/host/underlay"

// A verdict is what to do about the underlay.
type verdict int

const (
	stay    verdict = iota // all is well, or nothing can be done
	linger                 // another would be chosen now, but this one works
	move                   // to the choice
	goHome                 // to the choice, which is where this node came from
	examine                // whether members are reached from elsewhere
)

// A situation is what decide knows.
type situation struct {
	choice  underlay.Underlay // what a start would choose; zero: nothing
	here    underlay.Underlay
	home    underlay.Underlay // see Watcher
	held    bool              // the host has here's address, on an interface that is up
	stood   bool              // choice has been the same for moveAfter
	members bool              // there are other nodes that can answer
	silent  bool              // none has answered for silentAfter
}

// decide decides what to do.
//
// An address that the host has lost is left at once for another of the same
// interface. For an address of another interface it is left once that choice
// has stood, because the lost one may be back by then. For a link-local address
// (RFC 3927) it is left only if members answer there: DHCP clients configure
// one until the lease comes back.
//
// An address that the host has is left only if no member answers there, for one
// where a member is known to answer. The exception is the address that this
// node came from. A choice that changes is no reason: VPNs and virtual links
// bring default routes that reach no member.
func decide(s situation) verdict {
	elsewhere := s.choice.Addr.IsValid() && s.choice.Addr != s.here.Addr
	worse := s.choice.Addr.IsLinkLocalUnicast() && !s.here.Addr.IsLinkLocalUnicast()
	near := s.choice.Index == s.here.Index
	switch {
	case elsewhere && !s.held && !worse && (near || s.stood):
		return move
	case elsewhere && s.stood && s.choice.Addr == s.home.Addr && !s.members:
		return goHome
	case elsewhere && s.stood && s.choice.Addr == s.home.Addr, s.silent, elsewhere && !s.held && worse:
		return examine
	case elsewhere && s.stood:
		return linger
	}
	return stay
}
