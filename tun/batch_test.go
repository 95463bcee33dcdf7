package tun

import (
	"bytes"
	"testing"
)

func TestSlotsDoNotTouchEachOther(t *testing.T) {
	b := NewBatch(3, 1472)
	for i := range b.Len() {
		slot := b.Slot(i)
		if len(slot) != 1472 || cap(slot) != 1472 {
			t.Fatalf("slot %d: length %d, capacity %d, want 1472 for both", i, len(slot), cap(slot))
		}
		for j := range slot {
			slot[j] = byte(i + 1)
		}
	}
	for i := range b.Len() {
		if want := bytes.Repeat([]byte{byte(i + 1)}, 1472); !bytes.Equal(b.Slot(i), want) {
			t.Errorf("slot %d was written through another one", i)
		}
	}
}

func TestSlotsKeepHeadroom(t *testing.T) {
	b := NewBatch(2, 100)
	for i := range b.Len() {
		start := cap(b.slab) - cap(b.slab[i*b.stride+Headroom:])
		if got := start - i*b.stride; got != Headroom {
			t.Errorf("slot %d begins %d bytes into its stride, want %d", i, got, Headroom)
		}
		if b.stride < Headroom+100 || b.stride%slotAlign != 0 {
			t.Errorf("stride %d does not hold headroom and slot, or is not aligned to %d", b.stride, slotAlign)
		}
	}
}

func TestFillDeclaresThePacket(t *testing.T) {
	b := NewBatch(2, 100)
	n := copy(b.Slot(1), "packet")
	b.Fill(1, n)
	if got := string(b.Packets[1].Data); got != "packet" {
		t.Errorf("packet 1 is %q, want %q", got, "packet")
	}
}
