package core

import "time"

// damage is a protocol broken on purpose, to see that the simulator notices. It
// works on the core from outside, through what the driver gives it and from its
// tests: the core as it is built has no switch for it.
type damage struct {
	name string
	// onSave may answer for the disk before it has written.
	onSave func(h *host, s *Save)
	sync   time.Duration // by which syncs are late
	// onMessage may rewrite or drop (nil) a message of the core's.
	onMessage func(h *host, msg []byte) []byte
	// onInput may change a core's memory after an input.
	onInput func(h *host)
	onBoot  func(h *host)
}

func (d *damage) early(h *host, s *Save) {
	if d != nil && d.onSave != nil {
		d.onSave(h, s)
	}
}

func (d *damage) lazySync(w *world) time.Duration {
	if d == nil || d.sync == 0 {
		return 0
	}
	return w.between(0, d.sync)
}

func (d *damage) message(h *host, msg []byte) []byte {
	if d == nil || d.onMessage == nil {
		return msg
	}
	return d.onMessage(h, msg)
}

func (d *damage) after(h *host) {
	if d != nil && d.onInput != nil && h.core != nil && h.core.table != nil {
		d.onInput(h)
	}
}

func (d *damage) booted(h *host) {
	if d != nil && d.onBoot != nil && h.core != nil {
		d.onBoot(h)
	}
}
