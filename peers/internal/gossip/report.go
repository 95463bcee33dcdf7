// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Limits of reports. A node that shows the whole network asks each other one
// for some parts every few seconds.
const (
	inquiryBurst, inquiryRate     = 120, 30  // inquiries of one address, and a second
	inquiriesBurst, inquiriesRate = 800, 200 // of all together
	maxInquiries                  = 1024     // of our own under way
	inquiryQueue                  = 64       // that wait for the reporter
	inquiryAnswer                 = 400 * time.Millisecond
	inquiryTries                  = 3
	// reportFor is how long a report counts as the present one. Making one
	// can cost the host a look at all that is kept on it.
	reportFor = 2 * time.Second
)

// Why there is no report. The texts are for people.
var (
	ErrNotUp    = errors.New("it is not up")
	ErrTooOld   = errors.New("it runs an older flanneld, which reports nothing")
	ErrNoReport = errors.New("it does not answer")
	errBusy     = errors.New("too many inquiries are under way")
)

// inquiry is one of our own under way.
type inquiry struct {
	to     record.NodeID
	at     netip.AddrPort
	answer chan<- wire.Part // with room for the answer
}

// Report asks a member how it is. It returns what the member's Config.Report
// has returned, at most [wire.MaxReport] bytes. It takes some seconds at most.
// Its errors are ErrNotUp, ErrTooOld, ErrNoReport and that of ctx. It may be
// called concurrently.
func (g *Agent) Report(ctx context.Context, of record.NodeID) ([]byte, error) {
	m, err := g.speaking(of, wire.ReportVersion)
	if err != nil {
		return nil, err
	}
	first, err := g.inquire(ctx, m, wire.Inquiry{})
	if err != nil {
		return nil, err
	}
	report := first.Bytes
	for part := uint8(1); part < first.Parts; part++ {
		next, err := g.inquire(ctx, m, wire.Inquiry{Report: first.Report, Part: part})
		if err != nil {
			return nil, err
		}
		if next.Parts != first.Parts {
			return nil, ErrNoReport
		}
		report = append(report, next.Bytes...)
	}
	return report, nil
}

// Inquire puts a question to a member, of at most [wire.MaxQuestion] bytes, and
// returns what the member's Config.Answer has returned. A question can come to
// the member several times. It takes 1.2 s at most. Its errors are those of
// Report. It may be called concurrently.
func (g *Agent) Inquire(ctx context.Context, of record.NodeID, question []byte) ([]byte, error) {
	m, err := g.speaking(of, wire.QuestionVersion)
	if err != nil {
		return nil, err
	}
	answer, err := g.inquire(ctx, m, wire.Inquiry{Question: question})
	return answer.Bytes, err
}

// speaking finds a member that speaks a version of the protocol.
func (g *Agent) speaking(id record.NodeID, version uint8) (member, error) {
	m, ok := g.members.of(id)
	if !ok {
		return m, ErrNotUp
	}
	if v, ok := g.about.Load().Speaks.Common(m.meta.Speaks); !ok || v < version {
		return m, ErrTooOld
	}
	return m, nil
}

// inquire asks for one part, or for the answer to a question, until it comes.
func (g *Agent) inquire(ctx context.Context, m member, q wire.Inquiry) (wire.Part, error) {
	for range inquiryTries {
		p, err := g.inquireOnce(ctx, m, q)
		if !errors.Is(err, ErrNoReport) {
			return p, err
		}
	}
	return wire.Part{}, ErrNoReport
}

func (g *Agent) inquireOnce(ctx context.Context, m member, q wire.Inquiry) (wire.Part, error) {
	answer := make(chan wire.Part, 1)
	nonce, ok := g.inquiries.put(inquiry{m.id, m.endpoint(), answer})
	if !ok {
		return wire.Part{}, errBusy
	}
	defer g.inquiries.end(nonce)
	q.Nonce, q.To = nonce, m.id
	g.transport.send(q.Encode(g.identity), m.endpoint())
	late := time.NewTimer(inquiryAnswer)
	defer late.Stop()
	select {
	case p := <-answer:
		if p.Part != q.Part || q.Report != 0 && p.Report != q.Report {
			return wire.Part{}, ErrNoReport
		}
		return p, nil
	case <-late.C:
		return wire.Part{}, ErrNoReport
	case <-ctx.Done():
		return wire.Part{}, ctx.Err()
	}
}

// takePart takes in the answer to an inquiry. Without such an inquiry it
// verifies no signature.
func (g *Agent) takePart(b []byte, from netip.AddrPort) error {
	p, ok := wire.ParsePart(b)
	if !ok {
		return errMessage
	}
	one, ok := g.inquiries.take(p.Nonce)
	if ok && one.to == p.From && one.at == from && wire.VerifyPart(b) {
		one.answer <- p
	}
	return nil
}

// received is an inquiry of another node's.
type received struct {
	wire.Inquiry
	at netip.AddrPort
}

// takeInquiry queues an inquiry, if a lease holder has signed it that is a
// member at the endpoint where it comes from. Other senders learn nothing, not
// even that.
func (g *Agent) takeInquiry(b []byte, from netip.AddrPort, sender standing, now time.Time) error {
	q, ok := wire.ParseInquiry(b)
	if !ok {
		return errMessage
	}
	if !g.answers(q) || sender != holder || q.To != g.about.Load().Node || !g.members.isHolder(q.From) {
		return nil
	}
	if m, ok := g.members.of(q.From); !ok || m.endpoint() != from {
		return nil
	}
	if !g.limits.inquiriesOf.take(from.Addr(), now) || !g.limits.inquiries.take(now) || !wire.VerifyInquiry(b) {
		g.limited.Add(1)
		return nil
	}
	q.Question = bytes.Clone(q.Question) // b is the caller's
	select {
	case g.asked <- received{q, from}:
	default:
		g.dropped.Add(1)
	}
	return nil
}

// answers reports whether this node answers inquiries of that kind.
func (g *Agent) answers(q wire.Inquiry) bool {
	if len(q.Question) > 0 {
		return g.answerTo != nil
	}
	return g.makeReport != nil
}

// kept is a report of this node's, cut into parts.
type kept struct {
	number uint64
	made   time.Time
	parts  [][]byte
}

// answerInquiries makes reports and answers inquiries, until ctx ends. It
// keeps two reports, so that the parts of one fit together.
func (g *Agent) answerInquiries(ctx context.Context) {
	var present, last kept
	for {
		select {
		case q := <-g.asked:
			if len(q.Question) > 0 {
				g.answerQuestion(q)
				continue
			}
			if q.Report == 0 && time.Since(present.made) >= reportFor {
				last, present = present, g.newReport()
			}
			r := present
			if q.Report != 0 && q.Report == last.number {
				r = last
			}
			g.answerInquiry(q, r)
		case <-ctx.Done():
			return
		}
	}
}

// newReport makes a report. One that is too long has no parts.
func (g *Agent) newReport() kept {
	r := kept{number: randomNumber(), made: time.Now()}
	var ok bool
	if r.parts, ok = wire.CutReport(g.makeReport()); !ok {
		g.dropped.Add(1)
	}
	return r
}

func (g *Agent) answerInquiry(q received, r kept) {
	if q.Report != 0 && q.Report != r.number || int(q.Part) >= len(r.parts) {
		return
	}
	p := wire.Part{Nonce: q.Nonce, Report: r.number, Part: q.Part, Parts: uint8(len(r.parts)), Bytes: r.parts[q.Part]}
	g.transport.send(p.Encode(g.identity), q.at)
}

// answerQuestion answers a question that this node knows.
func (g *Agent) answerQuestion(q received) {
	answer := g.answerTo(q.From, q.Question)
	if len(answer) == 0 {
		return
	}
	p := wire.Part{Nonce: q.Nonce, Parts: 1, Bytes: answer[:min(len(answer), wire.PartBytes)]}
	g.transport.send(p.Encode(g.identity), q.at)
}

// randomNumber is not 0. A restarted node must not give a number twice.
func randomNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}
