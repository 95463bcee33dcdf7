// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"time"

	"flanneld/peers/internal/core"
)

// Disk is a state directory. A durable state that was written is there after
// kill -9. After a power failure the last one that was synced is there, or a
// newer one. Either way it is whole: files are replaced by renaming.
type Disk struct {
	Durable []byte // written last
	Synced  []byte // the same, as of the last sync
	token   uint64 // of the durable state that was synced last
	Table   []byte // the encoded node table
	past    []backup

	busy    bool
	waiting *core.Save // the newest one that came while busy
	Full    bool       // every write fails
	tabling bool       // the table is to be written within a second
}

// backup is a copy of the state directory of some time ago.
type backup struct{ durable, table []byte }

// crashPoint is a moment of a disk write.
type crashPoint uint8

const (
	crashBefore  crashPoint = iota + 1 // nothing written
	crashBetween                       // written, not synced
	crashAfter                         // synced, not answered
)

var errDiskFull = errors.New("no space left on device")

// write has a durable state written, one after the other: of several that wait,
// the newest is written.
func (h *Host) write(s *core.Save) {
	if h.Disk.busy {
		h.Disk.waiting = s
		return
	}
	h.Disk.busy = true
	w, boot := h.World, h.boots
	w.after(w.between(50*time.Microsecond, w.slowDisk), func() {
		if h.boots != boot || h.crashes(crashBefore) {
			return
		}
		if h.Disk.Full {
			h.diskError(s)
			return
		}
		h.Disk.Durable = s.Durable
		if h.crashes(crashBetween) {
			return
		}
		if w.damage.lazy() {
			w.after(w.between(0, writeback), func() { h.writeBack(boot, s) })
			h.written(s)
			return
		}
		w.after(w.between(50*time.Microsecond, w.slowDisk), func() { h.sync(boot, s) })
	})
}

// sync ends a write.
func (h *Host) sync(boot int, s *core.Save) {
	if h.boots != boot {
		return
	}
	h.Disk.Synced, h.Disk.token = s.Durable, s.Token
	if len(h.Disk.past) < 8 && h.World.rand.IntN(4) == 0 {
		h.Disk.past = append(h.Disk.past, backup{s.Durable, h.Disk.Table})
	}
	if h.crashes(crashAfter) {
		return
	}
	h.written(s)
}

// writeBack is what the kernel does with what was not synced.
func (h *Host) writeBack(boot int, s *core.Save) {
	if h.boots == boot && s.Token > h.Disk.token {
		h.Disk.Synced, h.Disk.token = s.Durable, s.Token
	}
}

// written answers the core, and writes what has come in the meantime.
func (h *Host) written(s *core.Save) {
	h.World.tally[savesWritten]++
	h.Disk.busy = false
	h.World.trace.mix(uint64(h.Index), s.Token, uint64(len(s.Durable)))
	h.deliver(func() { h.Do(func(now core.Time) { h.Core.Saved(now, s.Token, nil) }) })
	h.nextWrite()
}

func (h *Host) nextWrite() {
	if next := h.Disk.waiting; next != nil && h.Core != nil && !h.Disk.busy {
		h.Disk.waiting = nil
		h.write(next)
	}
}

// diskError tells the core, and tries again a second later with the newest
// durable state.
func (h *Host) diskError(s *core.Save) {
	h.World.tally[writesFailed]++
	boot := h.boots
	h.Do(func(now core.Time) { h.Core.Saved(now, s.Token, errDiskFull) })
	h.World.after(time.Second, func() {
		if h.boots != boot || h.Core == nil {
			return
		}
		h.Disk.busy = false
		if h.Disk.waiting == nil {
			h.Disk.waiting = s
		}
		h.nextWrite()
	})
}

// crashes ends the daemon if this is the moment chosen for it.
func (h *Host) crashes(at crashPoint) bool {
	if h.Core == nil {
		return true
	}
	if h.crashAt != at {
		return false
	}
	h.crashAt = 0
	h.World.tally[crashesBefore+int(at-crashBefore)]++
	h.stop(h.World.rand.IntN(2) == 0)
	return true
}

// losePower leaves on the disk what has been synced, or what the kernel
// happened to write of its own.
func (d *Disk) losePower(lucky bool) {
	if lucky {
		d.Synced = d.Durable
	}
	d.Durable = d.Synced
}

// keepTable writes the node table, within a second, as the daemon does; and
// again a second later when the disk is full.
func (h *Host) keepTable() {
	if h.Disk.tabling {
		return
	}
	h.Disk.tabling = true
	boot := h.boots
	h.World.after(time.Second, func() {
		if h.boots != boot || h.Core == nil {
			return
		}
		h.Disk.tabling = false
		switch s := h.Core.State(); {
		case s == nil:
		case h.Disk.Full:
			h.keepTable()
		default:
			h.Disk.Table = s
		}
	})
}
