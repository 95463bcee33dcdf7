// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flanneld/internal/control"
)

func statusCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show this node: problems, lease, device, members, traffic, drops",
		Long: `Show this node. The first line is "ok", or the number of problems and the first one. Each problem
follows with what to do about it. The exit status is 0 only if there is no problem.`,
		Args: exactly(),
	}
	at, as := addTarget(c), addFormat(c)
	exitZero := c.Flags().Bool("exit-zero", false, "exit with 0 also when there are problems")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := at.client(e)
		if err != nil {
			return err
		}
		status, err := client.Status(c.Context())
		if err != nil {
			return err
		}
		if err := show(e, *as, status, func(t *table) { drawStatus(t, status) }); err != nil {
			return err
		}
		if !status.OK && !*exitZero {
			return errNotWell
		}
		return nil
	}
	return c
}

func drawStatus(t *table, s control.Status) {
	drawHealth(t, s.Health, s.Lease.State != "confirmed" && s.Lease.State != "lost")
	for _, p := range s.Problems {
		drawProblem(t, p)
	}
	t.line(plain, "node", named(s.Node))
	t.line(plain, "network", networkText(s.Network))
	t.line(leaseColor(s.Lease), "lease", leaseText(s.Lease))
	if s.Lease.Claim != nil {
		t.line(yellow, "claim", claimText(*s.Lease.Claim))
	}
	if s.Lease.Waiting != "" {
		t.line(yellow, "waiting", s.Lease.Waiting)
	}
	t.line(deviceColor(s.Device), "device", deviceText(s.Device))
	t.linef(plain, "underlay", "%s %s, MTU %d", s.Underlay.Interface, address(s.Underlay.Address, s.Underlay.PublicAddress), s.Underlay.MTU)
	t.linef(plain, "endpoint", "%s, gossip %s", dash(s.Endpoint), dash(s.Gossip))
	t.line(plain, "sealed", sealedText(s.Security))
	if s.Security.DataSealed {
		t.line(plain, "sessions", sessionsText(s.Security.Sealing))
	}
	t.linef(plain, "lanes", "%d", s.Lanes)
	t.line(plain, "offloads", offloadsText(s.Offloads))
	t.line(membersColor(s.Members), "members", membersText(s.Members)+lagText(s.GossipTraffic.Lag))
	t.line(backendColor(s.Backend), "backend", backendText(s.Backend))
	t.line(shortcutColor(s.Shortcut), "short-cut", shortcutText(s.Shortcut))
	for _, note := range s.Shortcut.Notes {
		t.line(plain, "", note)
	}
	t.line(pathsColor(s.Paths), "paths", pathsText(s.Paths))
	t.linef(plain, "egress", "%d packets, %s", s.Egress.Packets, size(s.Egress.Bytes))
	t.linef(plain, "ingress", "%d packets, %s", s.Ingress.Packets, size(s.Ingress.Bytes))
	t.line(plain, "drops", dropsText(s.Drops))
	drawHost(t, s.Host)
	for _, conflict := range s.Conflicts {
		t.line(red, "CONFLICT", conflictText(conflict))
	}
	if s.Metrics.Address.IsValid() {
		t.line(plain, "metrics", metricsText(s.Metrics))
	}
	t.linef(plain, "process", "PID %d, up %s, %d goroutines, %d descriptors, %s, version %s",
		s.PID, since(s.Uptime), s.Process.Goroutines, s.Process.Descriptors, size(s.Process.Memory), s.Version)
}

func drawHost(t *table, h control.Host) {
	forward := onOff(h.IPForward)
	if h.IPForwardChanged {
		forward += " (by flanneld)"
	}
	color := plain
	if !h.IPForward || h.Firewall == control.FirewallFailed || h.Firewall == control.FirewallOverruled {
		color = yellow
	}
	firewall := h.Firewall
	if h.FirewallNote != "" {
		firewall += " (" + h.FirewallNote + ")"
	}
	t.linef(color, "host", "ip_forward %s, firewall rules %s, masquerade %s, repairs %d",
		forward, dashed(firewall), onOff(h.Masquerade), h.FirewallRepairs+h.DeviceRepairs)
	if h.StrayBridge != "" {
		t.line(red, "bridge", h.StrayBridge)
	}
	t.linef(plain, "files", "%s, %s", h.SubnetFile, h.DockerFile)
}

func metricsText(m control.Metrics) string {
	if m.Exposed {
		return m.Address.String() + ", for every host that reaches it"
	}
	return m.Address.String() + ", for this host"
}

func networkText(n control.Network) string {
	if !n.Prefix.IsValid() {
		return "not known yet"
	}
	return fmt.Sprintf("%s (%s), a /%d each from %s to %s", n.Prefix, shortID(n.ID), n.SubnetLen, n.SubnetMin, n.SubnetMax)
}

func leaseText(l control.Lease) string {
	if !l.Subnet.IsValid() {
		return dashed(l.State)
	}
	text := fmt.Sprintf("%s, %s", l.Subnet, l.State)
	if l.Pinned {
		text += ", pinned"
	}
	text += fmt.Sprintf(", epoch %d, for %s, %s", l.Epoch, since(l.Age), grantText(l.Electors, l.Promises))
	if len(l.PromisedBy) > 0 {
		text += ": " + namesText(l.PromisedBy)
	}
	return text
}

// grantText shows which nodes granted a lease. A node that finds no lease
// holder to ask, above all the founding one, confirms its own.
func grantText(electors, promises int) string {
	if electors == 0 {
		return "confirmed by itself"
	}
	return fmt.Sprintf("promised by %d of %d", promises, electors)
}

// namesShown is how many names fit into one line.
const namesShown = 8

func namesText(nodes []control.NodeName) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return someOf(names)
}

// someOf joins the first of some names, and counts the rest.
func someOf(names []string) string {
	if more := len(names) - namesShown; more > 0 {
		names = append(names[:namesShown:namesShown], fmt.Sprintf("and %d more", more))
	}
	return listOr(names, "no node")
}

// claimText shows the state of a claim: which holders have promised, and which
// have not answered yet.
func claimText(c control.Claim) string {
	text := fmt.Sprintf("%s, epoch %d: %d of %d lease holders answered, %d have to promise; promised by %s",
		c.Subnet, c.Epoch, c.Answered, c.Electors, c.Needed, namesText(c.PromisedBy))
	var missing []string
	for _, m := range c.Missing {
		missing = append(missing, strings.TrimSuffix(fmt.Sprintf("%s (%s %s", named(m.NodeName), m.State, since(m.Since)), " -")+")")
	}
	if len(missing) > 0 {
		text += "; no answer from " + someOf(missing)
	}
	return text
}

func leaseColor(l control.Lease) string {
	switch l.State {
	case "confirmed":
		return plain
	case "lost":
		return red
	}
	return yellow
}

func deviceText(d control.Device) string {
	text := d.Name + ", " + d.State
	if d.Address.IsValid() {
		text += ", " + d.Address.String()
	}
	text += fmt.Sprintf(", MTU %d", d.MTU)
	if d.Note != "" {
		text += ": " + d.Note
	}
	return text
}

func deviceColor(d control.Device) string {
	if d.State == control.DeviceUp {
		return plain
	}
	return yellow
}

func sealedText(s control.Security) string {
	yesNo := map[bool]string{true: "yes", false: "no"}
	text := fmt.Sprintf("gossip %s, data %s", yesNo[s.GossipSealed], yesNo[s.DataSealed])
	if s.Note != "" {
		text += ": " + s.Note
	}
	return text
}

func membersText(m control.Members) string {
	text := fmt.Sprintf("%d alive", m.Alive)
	for _, state := range []struct {
		count int
		name  string
	}{{m.Suspect, "suspect"}, {m.Dead, "dead"}, {m.Left, "left"}, {m.Static, "static"}} {
		if state.count > 0 {
			text += fmt.Sprintf(", %d %s", state.count, state.name)
		}
	}
	return text
}

// lagText says that this host is too busy for gossip, where it is: others may
// take the node for dead.
func lagText(lag control.Seconds) string {
	const noted = 0.1 // seconds
	if lag < noted {
		return ""
	}
	return fmt.Sprintf("; this host is busy: gossip waits %v for the daemon", lag.Duration().Round(10*time.Millisecond))
}

func membersColor(m control.Members) string {
	if m.Dead+m.Suspect > 0 {
		return yellow
	}
	return plain
}

// dropsText puts the most frequent reason first.
func dropsText(drops map[string]uint64) string {
	var parts []string
	for _, reason := range mostFirst(drops) {
		if drops[reason] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", reason, drops[reason]))
		}
	}
	return listOr(parts, "none")
}

// mostFirst sorts reasons by their counts, the highest first.
func mostFirst[N cmp.Ordered](counts map[string]N) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

func conflictText(c control.Conflict) string {
	text := fmt.Sprintf("%s: %s holds it, %s claims it too, for %s", c.Subnet, named(c.Winner), named(c.Loser), since(c.Since))
	if c.Note != "" {
		text += ": " + c.Note
	}
	return text
}

// offloadsText lists the offloads in use, then the others, each with the
// reason.
func offloadsText(offloads []control.Offload) string {
	var used, others []string
	for _, o := range offloads {
		if o.Used {
			used = append(used, o.Name)
		} else {
			others = append(others, fmt.Sprintf("%s (%s)", o.Name, o.Note))
		}
	}
	text := listOr(used, "none")
	if len(others) > 0 {
		text += "; not used: " + strings.Join(others, ", ")
	}
	return text
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

func dashed(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
