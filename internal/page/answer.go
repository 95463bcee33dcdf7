// SPDX-License-Identifier: Apache-2.0

package page

import (
	"flanneld/internal/control"
	"flanneld/internal/report"
)

// answer is what a browser gets of another node's report.
type answer struct {
	ID string `json:"id"`
	// Error says why the last question has no answer; "": it has.
	Error  string         `json:"error"`
	At     int64          `json:"at"` // of the report, milliseconds of Unix time
	Report *report.Report `json:"report"`
	Peers  []peer         `json:"peers"`
}

// peer is a node as another one sees it.
type peer struct {
	ID    string `json:"id"`
	State string `json:"s"`
	Path  string `json:"p"`
	Proof string `json:"w"`
	RTT   uint32 `json:"rtt"` // microseconds
	Sent  uint32 `json:"n"`
	Lost  uint32 `json:"l"`
	Out   uint64 `json:"out"`
	In    uint64 `json:"in"`
}

// answerOf prepares what became of a question.
func answerOf(id string, asked report.Asked, now seen) answer {
	a := answer{ID: id, Report: asked.Report, Peers: []peer{}}
	if asked.Err != nil {
		a.Error = asked.Err.Error()
	}
	if asked.Report == nil {
		return a
	}
	a.At = asked.At.UnixMilli()
	for _, p := range asked.Report.Peers {
		full, known := now.nodes[string(p.ID)]
		if proof := p.ProofName(); known && (!now.large || proof != control.PathWorks) {
			a.Peers = append(a.Peers, peer{
				ID: full, State: p.StateName(), Path: p.PathName(), Proof: proof, RTT: p.RTT, Sent: p.Sent, Lost: p.Lost, Out: p.Out, In: p.In,
			})
		}
	}
	return a
}

// shortID is what a report has of a node's ID.
func shortID(id string) string { return string(report.ShortID(id)) }
