// SPDX-License-Identifier: Apache-2.0

package core

// Phase is how far this node's own lease has come.
type Phase uint8

// The phases of a claim.
const (
	PhaseNone       Phase = iota // no lease, and no claim under way
	PhaseAsking                  // a slot is asked for
	PhaseSaving                  // granted; being written
	PhaseRevoking                // granted, and too late; being struck from the disk
	PhaseAnnouncing              // written; waiting until others know
	PhaseKeeping                 // others know; being written as confirmed
	PhaseConfirmed               // held
	PhaseLost                    // held once, and overruled
)

var phaseNames = [...]string{"none", "asking", "saving", "revoking", "announcing", "keeping", "confirmed", "lost"}

// String is the phase in a word or two.
func (p Phase) String() string { return phaseNames[p] }

// Transition is a step of the claim from one phase to another.
type Transition struct {
	From, To Phase
	When     string
}

// Transitions are all the steps that a claim takes. The simulator checks each
// step of each run against this table.
//
//	None ──► Asking ──► Saving ──► Announcing ──► Keeping ──► Confirmed
//	  ▲        │          │            │             │            │
//	  ├◄───────┘          ▼            ▼             ▼            ▼
//	  ├◄───────────── Revoking         └──────────► Lost ◄────────┘
//	  └◄─────────────────────────────────────────────┘
//
// There are shorter ways. A lease that no holder has to grant goes from None to
// Saving, and from Announcing to Confirmed. A lease that the network remembers
// goes from None to Saving, and from there to Confirmed or Lost. A lease that
// the disk remembers goes from None to Confirmed or Lost. Leaving ends in None
// from anywhere.
var Transitions = []Transition{
	{PhaseNone, PhaseAsking, "a slot is asked for"},
	{PhaseNone, PhaseSaving, "no node has to be asked, or the network remembers a lease of this node"},
	{PhaseNone, PhaseConfirmed, "the disk remembers a confirmed lease"},
	{PhaseNone, PhaseLost, "the disk remembers a lease that is another node's by now"},
	{PhaseAsking, PhaseSaving, "granted"},
	{PhaseAsking, PhaseNone, "refused, overtaken, or asleep meanwhile"},
	{PhaseSaving, PhaseAnnouncing, "written, and still granted"},
	{PhaseSaving, PhaseRevoking, "written too late, or no longer granted"},
	{PhaseSaving, PhaseConfirmed, "written, and the network knew it before"},
	{PhaseSaving, PhaseLost, "overruled while a remembered lease was written"},
	{PhaseSaving, PhaseNone, "the node leaves"},
	{PhaseRevoking, PhaseNone, "struck from the disk, or the node leaves"},
	{PhaseAnnouncing, PhaseKeeping, "enough nodes know, or time is up"},
	{PhaseAnnouncing, PhaseConfirmed, "the same, for a lease that no holder had to grant"},
	{PhaseAnnouncing, PhaseLost, "overruled"},
	{PhaseAnnouncing, PhaseNone, "the node leaves"},
	{PhaseKeeping, PhaseConfirmed, "written as confirmed"},
	{PhaseKeeping, PhaseLost, "overruled"},
	{PhaseKeeping, PhaseNone, "the node leaves"},
	{PhaseConfirmed, PhaseLost, "overruled"},
	{PhaseConfirmed, PhaseNone, "the node leaves"},
	{PhaseLost, PhaseNone, "released, or no other node holds the slot any more"},
}
