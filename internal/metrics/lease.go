// SPDX-License-Identifier: Apache-2.0

package metrics

import "flanneld/internal/control"

var (
	leaseState = gauge("lease_state", "State of the lease: 1 for the present one, 0 for others.", "state")
	leaseInfo  = gauge("lease_info", "Subnet of the confirmed lease, in labels; always 1.", "network", "subnet")
	leaseEpoch = gauge("lease_epoch", "Epoch of the lease; higher when a subnet is taken over.")
	leaseAge   = gauge("lease_age_seconds", "How long this daemon has known its lease.")
	conflicts  = gauge("lease_conflicts", "Subnets that two nodes claim, as this node sees them.")

	claimActive   = gauge("claim_active", "Whether this node is asking for a subnet (1) or not (0).")
	claimPromises = gauge("claim_promises", "Promises that the claim under way has.")
	claimNeeded   = gauge("claim_needed_promises", "Promises that the claim under way needs.")
	claimMissing  = gauge("claim_missing_nodes", "Nodes that have not answered the claim under way.")
)

func (c *collector) collectLease(s sink, n control.Status) {
	l := n.Lease
	s.oneOf(leaseState, l.State, control.LeaseStates)
	if l.State == "confirmed" {
		s.put(leaseInfo, 1, n.Network.ID, l.Subnet.String())
	}
	s.put(leaseEpoch, float64(l.Epoch))
	s.put(leaseAge, float64(l.Age))
	s.put(conflicts, float64(len(n.Conflicts)))

	claim := control.Claim{}
	if l.Claim != nil {
		claim = *l.Claim
	}
	s.putBool(claimActive, l.Claim != nil)
	s.put(claimPromises, float64(len(claim.PromisedBy)))
	s.put(claimNeeded, float64(claim.Needed))
	s.put(claimMissing, float64(len(claim.Missing)))
}
