// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"time"

	"flanneld/internal/packet"
)

// PingConfig says how a Ping works.
type PingConfig struct {
	// Source is as in Config.
	Source netip.Addr
	// Target is what to ping. ID, Role, Traffic and Checksums do not count.
	Target Target
	// ForwardsOnly is what is known of the target; see Result.
	ForwardsOnly bool
	// Stamp is as in Config.
	Stamp    Stamp
	Count    int           // packets, at least one
	Size     int           // bytes of each; 0: as short as possible
	Interval time.Duration // between two packets
}

// PingResult is what a Ping has found.
type PingResult struct {
	Sent, Received int // Count packets at most
	// Min, Avg and Max are round trip times, 0 where none was answered.
	Min, Avg, Max time.Duration
	// Largest is the length in bytes of the largest packet that was answered.
	Largest int
	// Refused is why this host did not send a packet; nil: it sent all.
	Refused error
}

// Ping sends some packets to one target by hand, beside the Prober.
type Ping struct {
	inbox
	cfg PingConfig
}

// NewPing makes one. It sends nothing yet; see Run.
func NewPing(cfg PingConfig) *Ping {
	cfg.Count = max(cfg.Count, 1)
	return &Ping{inbox: stamped(waiting, cfg.Stamp), cfg: cfg}
}

// sizes are lengths to try beside the longest one: of Ethernet with one and
// with two tunnels, of the least IPv6 path, and what every host takes.
var sizes = []int{1472, 1450, 1400, 1280, 1000, 576}

// ping is what is under way.
type ping struct {
	flights map[uint16]pingFlight
	next    uint16 // sequence number
	total   time.Duration
	PingResult
}

type pingFlight struct {
	sent  time.Time
	size  int
	extra bool // looks for the largest packet
}

// Run sends all packets and waits for the answers, not longer than the last one
// may take. It ends early with ctx.
func (p *Ping) Run(ctx context.Context) PingResult {
	run := ping{flights: map[uint16]pingFlight{}}
	p.sendSizes(&run)
	late := time.NewTimer(0)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return run.PingResult
		case a := <-p.answers:
			p.take(&run, a)
			if run.Sent == p.cfg.Count && len(run.flights) == 0 {
				return run.PingResult
			}
		case <-late.C:
			if run.Sent == p.cfg.Count {
				return run.PingResult
			}
			p.send(&run, max(p.cfg.Size, p.token.small()), false)
			run.Sent++
			if late.Reset(p.cfg.Interval); run.Sent == p.cfg.Count {
				late.Reset(answerTime)
			}
		}
	}
}

// sendSizes sends packets of several lengths, up to the longest.
func (p *Ping) sendSizes(run *ping) {
	longest := p.cfg.Target.Longest()
	if p.cfg.Size < longest {
		p.send(run, longest, true)
	}
	for _, size := range sizes {
		if p.cfg.Size < size && size < longest {
			p.send(run, size, true)
		}
	}
}

func (p *Ping) send(run *ping, size int, extra bool) {
	r := request{source: p.cfg.Source, destination: p.cfg.Target.own(), sequence: run.next, ttl: plainTTL, size: size}
	if behind := p.cfg.Target.behind(); p.cfg.ForwardsOnly && behind.IsValid() {
		r.destination, r.ttl = behind, 1
	}
	run.next++
	run.flights[r.sequence] = pingFlight{sent: time.Now(), size: size, extra: extra}
	if _, err := p.cfg.Target.Send(p.token.build(r), Offload{}); err != nil && !extra {
		run.Refused = err
	}
}

// take counts an answer.
func (p *Ping) take(run *ping, a answer) {
	f, ok := run.flights[a.sequence]
	expected := a.kind == packet.ICMPEchoReply || p.cfg.ForwardsOnly && a.kind == packet.ICMPTimeExceeded
	if !ok || a.tcp || !expected || !p.cfg.Target.speaks(a.from) {
		return
	}
	delete(run.flights, a.sequence)
	run.Largest = max(run.Largest, f.size)
	if f.extra {
		return
	}
	took := a.at.Sub(f.sent)
	if run.Received == 0 {
		run.Min = took
	}
	run.Received++
	run.total += took
	run.Min, run.Max, run.Avg = min(run.Min, took), max(run.Max, took), run.total/time.Duration(run.Received)
}
