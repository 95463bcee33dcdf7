// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"flanneld/peers/internal/record"
)

// trace is what happened: always as a hash, and for people where out is set.
type trace struct {
	hash uint64
	out  io.Writer
}

func (t *trace) on() bool { return t.out != nil }

// mix takes numbers into the hash.
func (t *trace) mix(numbers ...uint64) {
	for _, n := range numbers {
		t.hash = record.Mix(t.hash ^ n)
	}
}

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// line tells of something that happened to a host, or, with nil, to the world.
func (t *trace) line(w *World, h *Host, format string, args ...any) {
	index := uint64(1 << 32)
	if h != nil {
		index = uint64(h.Index)
	}
	t.mix(uint64(w.Now), index, uint64(crc([]byte(format))))
	if t.out == nil {
		return
	}
	name := "world"
	if h != nil {
		name = h.Config.Name
	}
	fmt.Fprintf(t.out, "%12.6f %-8s %s\n", w.Now.Seconds(), name, fmt.Sprintf(format, args...))
}

// message tells of a message of the core's.
func (t *trace) message(w *World, h *Host, other record.NodeID, does string, msg []byte) {
	if t.out == nil {
		return
	}
	fmt.Fprintf(t.out, "%12.6f %-8s %s %s %s\n", w.Now.Seconds(), h.Config.Name, does, w.nameOf(other), describe(w, msg))
}

// member shows what gossip thinks of a member.
func (t *trace) member(w *World, h *Host, p *peer) {
	t.mix(uint64(w.Now), uint64(h.Index), p.gen, uint64(p.state))
	if t.out == nil {
		return
	}
	fmt.Fprintf(t.out, "%12.6f %-8s sees %s up %v suspect %v\n", w.Now.Seconds(), h.Config.Name, w.nameOf(p.id), p.shown.up, p.shown.suspect)
}

func (w *World) nameOf(id record.NodeID) string {
	for _, h := range w.Hosts {
		if h.ID == id {
			return h.Config.Name
		}
	}
	if id.IsZero() {
		return "all nodes"
	}
	return id.Short()
}

var verdicts = map[record.Verdict]string{
	record.Promised: "promised", record.Held: "held", record.Taken: "taken", record.Stale: "stale", record.Abstain: "abstain", record.NotHolder: "not a holder", record.Unproven: "unproven", record.Crowded: "crowded",
}

// describe says in a line what a message says.
func describe(w *World, msg []byte) string {
	kind, body, err := Split(msg)
	if err != nil {
		return err.Error()
	}
	switch kind {
	case record.MsgAsk:
		m := decoded[record.Ask](body)
		return fmt.Sprintf("ask slot %d epoch %d claim %x", m.Slot, m.Epoch, m.Claim.Number())
	case record.MsgAnswer:
		m := decoded[record.Answer](body)
		return fmt.Sprintf("answer slot %d epoch %d claim %x: %s by %s seen %d", m.Slot, m.Epoch, m.Claim.Number(), verdicts[m.Verdict], w.nameOf(m.By), m.Seen)
	case record.MsgWithdraw:
		m := decoded[record.Withdraw](body)
		return fmt.Sprintf("withdraw slot %d up to claim %x", m.Slot, m.Claim.Number())
	case record.MsgRecords:
		m := decoded[record.Records](body)
		return fmt.Sprintf("records%s, wants parts %#x, ack of slot %d", describeRecords(w, m.Records), m.Mask, m.AckSlot)
	case record.MsgRumor:
		return "rumor" + describeRecords(w, [][]byte{body})
	case record.MsgAck:
		m := decoded[record.Ack](body)
		return fmt.Sprintf("ack slot %d epoch %d", m.Slot, m.Epoch)
	}
	return "digest"
}

func decoded[M any](body []byte) (m M) {
	_ = record.Decode(body, &m)
	return m
}

func describeRecords(w *World, all [][]byte) string {
	text := ""
	for _, raw := range all {
		e, err := record.OpenEnvelope(raw)
		if err != nil {
			continue
		}
		switch e.Kind {
		case record.KindNode:
			r := decoded[record.NodeRecord](e.Payload)
			text += fmt.Sprintf(" [node %s start %d.%d]", w.nameOf(r.ID()), r.Start, r.Version)
		case record.KindLease:
			r := decoded[record.LeaseRecord](e.Payload)
			holder := "no node"
			if !r.Holder.IsZero() {
				holder = w.nameOf(r.Holder)
			}
			text += fmt.Sprintf(" [slot %d epoch %d %s %d/%d vouchers %d granted %d by %s]", r.Slot, r.Epoch, holder, r.Promises, r.Electors, r.Vouchers.Count(), r.GrantEpoch(), w.nameOf(record.NodeIDOf(r.Key)))
		case record.KindForget:
			r := decoded[record.ForgetRecord](e.Payload)
			text += fmt.Sprintf(" [forget %s %d]", w.nameOf(r.Node), r.Start)
		}
	}
	return text
}

// Tally counts what was done to a network, and what was checked on it.
type Tally [tallies]int64

const (
	starts = iota
	kills
	powerFailures
	crashesBefore
	crashesBetween
	crashesAfter
	restartsOlder
	restartsWithout
	restartsAmnesia
	restartsWiped
	pauses
	longPauses
	staleHandled
	clones
	duplicatesStopped
	cutsSplit
	cutsOneWay
	cutsBridge
	cutsFlapping
	phasesLoss
	phasesLate
	datagramsLost
	datagramsDoubled
	datagramsLate
	datagramsCut
	disksFull
	writesFailed
	leaves
	forgets
	pinned
	expiries
	moves
	allStopped
	massStarts
	savesWritten
	probesFailed
	falseDeaths
	refutations
	statesExchanged

	checkedOverlap
	checkedWhole
	checkedKept
	checkedResumed
	checkedMinority
	minorityClaims
	checkedJoined
	checkedDeath
	checkedRoute
	checkedEqual
	checkedClaims
	checkedFull
	checkedStuck
	refusals
	lostForgotten
	lostExpired
	lostConflict
	overlapsExcused
	freeClaims
	lies
	schedules
	tallies
)

var tallyNames = [tallies]string{
	starts: "starts of a daemon", kills: "kill -9", powerFailures: "power failures",
	crashesBefore: "crashes before a disk write", crashesBetween: "crashes between write and sync", crashesAfter: "crashes after the sync, before the answer",
	restartsOlder: "restarts with an older disk", restartsWithout: "restarts without node table", restartsAmnesia: "restarts without vault", restartsWiped: "restarts without disk",
	pauses: "pauses up to 30 s", longPauses: "pauses up to 600 s", staleHandled: "stale messages and timers handled after a pause",
	clones: "clones started", duplicatesStopped: "twins that found each other",
	cutsSplit: "cuts in two", cutsOneWay: "one-way cuts", cutsBridge: "cuts with one node between", cutsFlapping: "flapping links",
	phasesLoss: "times of loss", phasesLate: "times of late datagrams", datagramsLost: "datagrams lost", datagramsDoubled: "datagrams doubled",
	datagramsLate: "datagrams late, up to 30 s", datagramsCut: "datagrams cut off", disksFull: "full disks", writesFailed: "writes failed",
	leaves: "leave", forgets: "forget", pinned: "starts with a pin", expiries: "waits for the lease TTL", moves: "address changes",
	allStopped: "all stopped", massStarts: "all started at once", savesWritten: "vaults written",
	probesFailed: "probes failed", falseDeaths: "live nodes declared dead", refutations: "suspicions refuted", statesExchanged: "whole states exchanged",
	checkedOverlap: "1 confirmations compared with all other leases", checkedWhole: "1 networks, whole for 40 s, searched for overlaps",
	checkedKept: "2 leases confirmed again", checkedResumed: "2, 8 starts that had to resume their lease",
	checkedMinority: "4 grants inside a cut network", minorityClaims: "4 seconds of claims waiting in a smaller part", checkedJoined: "3 leases of nodes that had to join first",
	checkedDeath: "6 deaths that had to be seen within 30 s", checkedRoute: "6 leases of the dead that had to be kept", checkedEqual: "5 networks healed, tables compared",
	checkedClaims: "nodes that had to have a lease in the end", checkedFull: "nodes left without, all slots held", checkedStuck: "nodes left without, no majority there",
	refusals: "daemons that ended with an error", lostForgotten: "leases lost: forgotten", lostExpired: "leases lost: expired", lostConflict: "leases lost: conflict",
	overlapsExcused: "overlaps after a fault that may make them", freeClaims: "leases granted", lies: "lies told", schedules: "schedules",
}

func (t *Tally) add(o *Tally) {
	for i := range t {
		t[i] += o[i]
	}
}

// Print lists everything that was counted, also what was not once.
func (t *Tally) Print(out io.Writer) {
	for i, name := range tallyNames {
		fmt.Fprintf(out, "%12d  %s\n", t[i], name)
	}
}

// seconds is a duration in a table.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
