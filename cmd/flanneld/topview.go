// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unicode"

	"flanneld/internal/control"
	"flanneld/internal/rates"
	"flanneld/internal/screen"
)

// topView is what top shows on a terminal of some size.
type topView struct {
	top           control.Top
	order         string // "": not live, and there are no keys
	note          string // why there is nothing newer; "": there is
	colors        bool
	width, height int // columns and lines
	first         int // peers that are scrolled past
}

// topHead is how many lines stand above the peers, topFoot below.
const topHead, topFoot = 6, 1

// press takes a key, and reports whether top goes on.
func (v *topView) press(key int) bool {
	page := max(1, v.height-topHead-topFoot)
	switch key {
	case 'q', 'Q', screen.Interrupt:
		return false
	case 't', 'l', 'n':
		v.order = map[int]string{'t': "traffic", 'l': "loss", 'n': "name"}[key]
	case 'r':
		v.order = "latency"
	case 'j', screen.Down:
		v.first++
	case 'k', screen.Up:
		v.first--
	case ' ', screen.PageDown:
		v.first += page
	case 'b', screen.PageUp:
		v.first -= page
	}
	v.first = max(0, min(v.first, len(v.top.Peers)-page))
	return true
}

// topLines draws at most height lines of at most width columns.
func topLines(v topView) []string {
	t := v.top
	lines := []string{
		v.line(plain, "flanneld top  %s  %s  %s  up %s", dashed(t.Node.Name), dash(t.Subnet), t.Time.Format("15:04:05"), since(t.Uptime)),
		v.line(healthColor(t.Health, v.note), "%s", topVerdict(t.Health, v.note)),
		v.line(plain, "nodes    %s", membersText(t.Members)),
		v.line(plain, "traffic  egress %s, ingress %s, by kernel paths %s", rateText(t.Egress), rateText(t.Ingress), rateText(t.Arrived)),
		v.line(dropsColor(t.Drops), "drops    %s", topDrops(t.Drops)),
		v.line(plain, "%s", peerCells(v.nameWidth(), "NODE", "PATH", "ROUND TRIP", "LOSS", "EGRESS/s", "INGRESS/s", "PACKETS/s")),
	}
	room := v.height - topHead - topFoot
	peers := t.Peers[min(v.first, len(t.Peers)):]
	for _, p := range peers[:max(0, min(room, len(peers)))] {
		lines = append(lines, v.line(peerColor(p), "%s", topPeer(p, v.nameWidth())))
	}
	lines = lines[:max(1, min(len(lines), v.height-topFoot))]
	if v.order != "" && v.height > topFoot {
		shown := max(0, min(room, len(peers)))
		lines = append(lines, v.line(plain, "by %s, %d to %d of %d   t traffic  l loss  r round trip  n name  q quit", v.order, v.first+min(1, shown), v.first+shown, len(t.Peers)))
	}
	return lines
}

// line formats a line, cuts it to the width, and colors it. Control characters
// in strings of other nodes stay out of the terminal.
func (v topView) line(color, format string, args ...any) string {
	letters := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...)))
	text := string(letters[:min(len(letters), v.width)])
	if !v.colors || color == plain {
		return strings.TrimRight(text, " ")
	}
	return color + text + reset
}

// Columns of a peer, beside the name.
const (
	topColumns  = 64
	minTopName  = 8
	maxTopName  = 32
	peerPattern = "%-*s  %-7s %10s %6s %11s %11s %11s"
)

// nameWidth is how wide the column of names is.
func (v topView) nameWidth() int { return max(minTopName, min(maxTopName, v.width-topColumns)) }

func peerCells(width int, name string, cells ...any) string {
	letters := []rune(name)
	if len(letters) > width {
		letters = append(letters[:width-1:width-1], '~')
	}
	return fmt.Sprintf(peerPattern, append([]any{width, string(letters)}, cells...)...)
}

func topPeer(p control.TopPeer, width int) string {
	path, egress, loss := dashed(p.Path), perSecond(p.Egress.Bytes), "-"
	if p.State != "alive" && p.State != control.StateStatic {
		path = p.State
	}
	if p.ByKernel && p.Egress.Bytes == 0 {
		egress = "kernel"
	}
	if p.Probes > 0 {
		loss = fmt.Sprintf("%.0f %%", 100*rates.Loss(p))
	}
	return peerCells(width, dashed(p.Name), path, roundTrip(p.RTT), loss, egress, perSecond(p.Ingress.Bytes), count(p.Egress.Packets+p.Ingress.Packets))
}

func perSecond(bytes float64) string {
	if bytes == 0 {
		return "-"
	}
	return size(uint64(bytes+0.5)) + "/s"
}

// count is a number per second; below ten it has a fraction.
func count(n float64) string {
	switch {
	case n == 0:
		return "-"
	case n < 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

func rateText(r control.Rate) string {
	if r.Packets == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s packets/s)", perSecond(r.Bytes), count(r.Packets))
}

func topVerdict(h control.Health, note string) string {
	if note != "" {
		return note
	}
	return h.Summary
}

// topDrops lists the reasons, the one with the most drops first.
func topDrops(drops map[string]float64) string {
	if len(drops) == 0 {
		return "none"
	}
	reasons := mostFirst(drops)
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%s %s/s", reason, count(drops[reason]))
	}
	return strings.Join(reasons, ", ")
}

func healthColor(h control.Health, note string) string {
	switch {
	case note != "":
		return yellow
	case !h.OK:
		return red
	}
	return plain
}

func dropsColor(drops map[string]float64) string {
	if len(drops) > 0 {
		return yellow
	}
	return plain
}

func peerColor(p control.TopPeer) string {
	switch {
	case p.State == "dead":
		return red
	case p.State == "suspect", p.Lost > 0:
		return yellow
	}
	return plain
}
