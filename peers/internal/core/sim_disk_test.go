package core

import (
	"errors"
	"time"
)

// disk is a state directory. A vault that was written is there after kill -9;
// after a power failure the one that was synced last is there, or a newer one,
// whole either way: files are replaced by renaming.
type disk struct {
	vault  []byte
	synced []byte
	token  uint64 // of the vault that was synced last
	table  []byte
	past   []backup

	busy    bool
	waiting *Save // the newest of those that came while busy
	full    bool
	tabling bool // the table is to be written within a second
}

// backup is a copy of the state directory of some time ago.
type backup struct{ vault, table []byte }

// crashPoint is a moment of a disk write.
type crashPoint uint8

const (
	crashBefore  crashPoint = iota + 1 // nothing written
	crashBetween                       // written, not synced
	crashAfter                         // synced, not answered
)

var errDiskFull = errors.New("no space left on device")

// write has a vault written, one after the other: of several that wait, the
// newest is written.
func (h *host) write(s *Save) {
	if h.disk.busy {
		h.disk.waiting = s
		return
	}
	h.disk.busy = true
	w, boot := h.w, h.boots
	w.after(w.between(50*time.Microsecond, w.slowDisk), func() {
		if h.boots != boot || h.crashes(crashBefore) {
			return
		}
		if h.disk.full {
			h.diskError(s)
			return
		}
		h.disk.vault = s.Vault
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
func (h *host) sync(boot int, s *Save) {
	if h.boots != boot {
		return
	}
	h.disk.synced, h.disk.token = s.Vault, s.Token
	if len(h.disk.past) < 8 && h.w.rand.IntN(4) == 0 {
		h.disk.past = append(h.disk.past, backup{s.Vault, h.disk.table})
	}
	if h.crashes(crashAfter) {
		return
	}
	h.written(s)
}

// writeBack is what the kernel does with what was not synced.
func (h *host) writeBack(boot int, s *Save) {
	if h.boots == boot && s.Token > h.disk.token {
		h.disk.synced, h.disk.token = s.Vault, s.Token
	}
}

// written answers the core, and writes what has come in the meantime.
func (h *host) written(s *Save) {
	h.w.tally[vaultsWritten]++
	h.disk.busy = false
	h.w.trace.mix(uint64(h.index), s.Token, uint64(len(s.Vault)))
	h.deliver(func() { h.do(func(now Time) { h.core.Saved(now, s.Token, nil) }) })
	h.nextWrite()
}

func (h *host) nextWrite() {
	if next := h.disk.waiting; next != nil && h.core != nil && !h.disk.busy {
		h.disk.waiting = nil
		h.write(next)
	}
}

// diskError tells the core, and tries again a second later with the newest vault.
func (h *host) diskError(s *Save) {
	h.w.tally[writesFailed]++
	boot := h.boots
	h.do(func(now Time) { h.core.Saved(now, s.Token, errDiskFull) })
	h.w.after(time.Second, func() {
		if h.boots != boot || h.core == nil {
			return
		}
		h.disk.busy = false
		if h.disk.waiting == nil {
			h.disk.waiting = s
		}
		h.nextWrite()
	})
}

// crashes ends the daemon if this is the moment chosen for it.
func (h *host) crashes(at crashPoint) bool {
	if h.core == nil {
		return true
	}
	if h.crashAt != at {
		return false
	}
	h.crashAt = 0
	h.w.tally[crashesBefore+int(at-crashBefore)]++
	h.stop(h.w.rand.IntN(2) == 0)
	return true
}

// losePower leaves on the disk what has been synced, or what the kernel happened
// to write of its own.
func (d *disk) losePower(lucky bool) {
	if lucky {
		d.synced = d.vault
	}
	d.vault = d.synced
}

// keepTable writes the node table, within a second, as the daemon does; and again a second later when the disk is full.
func (h *host) keepTable() {
	if h.disk.tabling {
		return
	}
	h.disk.tabling = true
	boot := h.boots
	h.w.after(time.Second, func() {
		if h.boots != boot || h.core == nil {
			return
		}
		h.disk.tabling = false
		switch s := h.core.State(); {
		case s == nil:
		case h.disk.full:
			h.keepTable()
		default:
			h.disk.table = s
		}
	})
}
