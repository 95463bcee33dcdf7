// SPDX-License-Identifier: Apache-2.0

package gcm

import (
	"encoding/hex"
	"testing"
)

func TestWideInstructionsAreUsedWhereTheProcessorHasThem(t *testing.T) {
	if Wide() != present() {
		t.Errorf("the processor has them: %v; they are used: %v", present(), Wide())
	}
}

// TestKeyScheduleIsThatOfTheStandard: the last words of FIPS 197, appendix A.3.
func TestKeyScheduleIsThatOfTheStandard(t *testing.T) {
	if !present() {
		return // the standard library does the work
	}
	key, _ := hex.DecodeString("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
	rounds := expand((*[KeySize]byte)(key))
	if got, want := hex.EncodeToString(rounds[14][:]), "fe4890d1e6188d0b046df344706c631e"; got != want {
		t.Errorf("the last round key is %s, want %s", got, want)
	}
}

// TestAWrongResultIsNoticed: a machine on which wide instructions do something
// else does without them.
func TestAWrongResultIsNoticed(t *testing.T) {
	if !present() {
		return // the standard library does the work
	}
	for i := range len(new(schedule).powers) {
		w := newWide([KeySize]byte{9})
		if w.key.powers[i].low ^= 1; w.agrees() {
			t.Errorf("power %d of the hash key is wrong, and nothing is noticed", len(w.key.powers)-i)
		}
	}
	for i := range len(new(schedule).rounds) - 2 { // the first two are the key, also of the standard library's cipher
		w := newWide([KeySize]byte{9})
		if w.key.rounds[2+i][3] ^= 1; w.agrees() {
			t.Errorf("round key %d is wrong, and nothing is noticed", 2+i)
		}
	}
}
