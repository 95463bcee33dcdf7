// SPDX-License-Identifier: Apache-2.0

package core

var leaseStateNames = [...]string{
	LeaseNone: "none", LeaseJoining: "joining", LeaseClaiming: "claiming",
	LeaseAnnouncing: "announcing", LeaseConfirmed: "confirmed", LeaseLost: "lost",
}

// String returns the state's name in lower case.
func (s LeaseState) String() string { return leaseStateNames[s] }
