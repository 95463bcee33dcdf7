// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"maps"
	"slices"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// withheld is a tunnel device that has to make checksums itself, because the
// next device, or one behind it, breaks them.
type withheld struct {
	hopeful map[string]bool // peers where checksums arrived broken before
	decided bool            // whether it helps is known
}

// withhold switches off a tunnel device's offload where checksums arrive
// broken. They are tried again then. Where that helps no peer, the offload is
// switched on again: without it packets to all peers take more time. It changes
// the results to what is known with the new setting.
func (s *proofs) withhold(p plan.Path, results map[string]probe.Result) {
	if s.kernel == nil || s.kernel.SetChecksumOffload == nil || !p.Tunnel() {
		return // no tunnel device sends
	}
	if w := s.withheld[p]; w != nil {
		s.review(w, p)
		return
	}
	w := &withheld{hopeful: map[string]bool{}}
	for id, r := range results {
		if r.Sums == probe.SumsBroken {
			w.hopeful[id] = true
		}
	}
	if len(w.hopeful) == 0 {
		return
	}
	s.withheld[p] = w
	if w.decided = !s.switchOffload(p, false); w.decided {
		return
	}
	s.probers[p].TrySums()
	for id, r := range results {
		r.Sums = probe.SumsNotTried
		results[id] = r
	}
}

// review finds out whether it helps to withhold checksums.
func (s *proofs) review(w *withheld, p plan.Path) {
	if w.decided {
		return
	}
	for _, id := range slices.Collect(maps.Keys(w.hopeful)) {
		switch r, probed := s.probers[p].Result(id); {
		case probed && r.Sums == probe.SumsNotTried:
		case probed && r.Sums != probe.SumsBroken:
			w.decided = true
			return
		default:
			delete(w.hopeful, id)
		}
	}
	if len(w.hopeful) == 0 {
		w.decided = true
		s.switchOffload(p, true)
	}
}

// switchOffload reports whether it has switched a device's offload.
func (s *proofs) switchOffload(p plan.Path, on bool) bool {
	log := s.cfg.Log.With("device", s.kernel.device(p))
	if err := s.kernel.SetChecksumOffload(p, on); err != nil {
		log.Warn("cannot switch checksum offload", "on", on, "error", err)
		return false
	}
	if on {
		log.Warn("checksum offload is switched on again: without it checksums arrive broken, too")
	} else {
		log.Warn("checksums arrive broken; checksum offload is switched off")
	}
	return true
}
