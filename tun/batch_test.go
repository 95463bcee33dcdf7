// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"testing"
)

func TestPacketsDoNotTouchEachOther(t *testing.T) {
	b := NewBatch(4, 1472, 8192)
	for i := range 4 {
		slot := b.Slot()
		if len(slot) != 1472 || cap(slot) != 1472 {
			t.Fatalf("slot %d: length %d, capacity %d, want 1472 for both", i, len(slot), cap(slot))
		}
		for j := range slot {
			slot[j] = byte(i + 1)
		}
		b.Add(1472-i, 0)
	}
	for i, p := range b.Packets {
		if want := bytes.Repeat([]byte{byte(i + 1)}, 1472-i); !bytes.Equal(p.Data, want) || cap(p.Data) != len(want) {
			t.Errorf("packet %d was written through another one", i)
		}
	}
	if b.Slot() != nil {
		t.Error("a fifth slot of 4")
	}
	if b.Reset(); len(b.Packets) != 0 || b.Slot() == nil {
		t.Error("not empty after Reset")
	}
}

func TestSlotsKeepHeadroom(t *testing.T) {
	b := NewBatch(2, 100, 0)
	for b.Slot() != nil {
		start := cap(b.slab) - cap(b.slab[b.used:])
		frame, slot := b.frame(), b.Slot()
		if start%slotAlign != 0 || len(frame) != virtioLen+100 || &frame[virtioLen] != &slot[0] {
			t.Errorf("slot at %d, frame of %d bytes", start, len(frame))
		}
		b.Add(1, 0)
	}
}

func TestABatchIsFullWhenTheLongestPacketHasNoRoom(t *testing.T) {
	b := NewBatch(64, 65535, 2*65600)
	for range 8 {
		b.Add(1000, 0)
	}
	if b.Slot() == nil {
		t.Error("full with 8 short packets")
	}
	b.Add(65535, 1448)
	if b.Slot() != nil {
		t.Error("not full with a superpacket besides")
	}
}
