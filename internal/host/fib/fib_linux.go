// SPDX-License-Identifier: Apache-2.0

package fib

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// Watch reports, on a channel of capacity one, that links, IPv4 addresses,
// routes or rules of this network namespace have changed. Kernel paths do not
// count. It ends with ctx.
func Watch(ctx context.Context) (<-chan struct{}, error) { return rtnl.WatchWays(ctx) }

// Read reads what divides the network: routes of all tables, and rules. The
// device's own routes are left out, and those of kernel paths are apart.
func Read(network netip.Prefix, device string) (Host, error) {
	links, err := rtnl.Links()
	if err != nil {
		return Host{}, fmt.Errorf("fib: %w", err)
	}
	routes, err := rtnl.AllRoutes()
	if err != nil {
		return Host{}, fmt.Errorf("fib: %w", err)
	}
	rules, err := rtnl.Rules()
	if err != nil {
		return Host{}, fmt.Errorf("fib: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var h Host
	var signature strings.Builder
	for _, r := range routes {
		dst := rtnl.Destination(r)
		if !dst.Overlaps(network) {
			continue
		}
		if rtnl.KernelPath(r) {
			h.KernelPaths = append(h.KernelPaths, dst)
			continue
		}
		text := routeText(r, names)
		fmt.Fprintf(&signature, "%s flags %d\n", text, r.Flags)
		if names[r.LinkIndex] == device || dst.Bits() < network.Bits() {
			continue
		}
		h.Dividers = append(h.Dividers, Divider{Prefix: dst, Text: text, Remove: removal(r, text)})
	}
	for _, r := range rules {
		fmt.Fprintln(&signature, ruleText(r))
		if r.Mark != 0 && !r.Invert && !slices.Contains(h.Marks, r.Mark) {
			h.Marks = append(h.Marks, r.Mark)
		}
		if dst, ok := rtnl.Prefix(r.Dst); ok && dst.Bits() > 0 && dst.Overlaps(network) {
			text := ruleText(r)
			h.Dividers = append(h.Dividers, Divider{Prefix: dst.Masked(), Text: text, Remove: fmt.Sprintf("ip rule del priority %d", r.Priority)})
		}
	}
	h.Signature = signature.String()
	return h, nil
}

// removal is the command that deletes a route. Those of the kernel itself go
// with the address that they belong to.
func removal(r netlink.Route, text string) string {
	if r.Protocol == unix.RTPROT_KERNEL {
		return ""
	}
	return "ip route del " + text
}

var typeNames = map[int]string{
	unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
	unix.RTN_NAT: "nat",
}

// routeText is a route as `ip route` takes it.
func routeText(r netlink.Route, names map[int]string) string {
	words := []string{rtnl.Destination(r).String()}
	if name := typeNames[r.Type]; name != "" {
		words = slices.Insert(words, 0, name)
	}
	words = append(words, wayText(r, names)...)
	if r.Table != 0 && r.Table != unix.RT_TABLE_MAIN {
		words = append(words, "table", tableName(r.Table))
	}
	if r.Priority != 0 {
		words = append(words, "metric", fmt.Sprint(r.Priority))
	}
	return strings.Join(words, " ")
}

// wayText is where a route leads.
func wayText(r netlink.Route, names map[int]string) []string {
	var words []string
	if len(r.Gw) > 0 {
		words = append(words, "via", r.Gw.String())
	}
	if r.LinkIndex != 0 && r.Type != unix.RTN_BLACKHOLE && r.Type != unix.RTN_UNREACHABLE && r.Type != unix.RTN_PROHIBIT {
		words = append(words, "dev", names[r.LinkIndex])
	}
	for _, hop := range r.MultiPath {
		words = append(words, "nexthop")
		if len(hop.Gw) > 0 {
			words = append(words, "via", hop.Gw.String())
		}
		words = append(words, "dev", names[hop.LinkIndex])
	}
	return words
}

func tableName(table int) string {
	switch table {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return fmt.Sprint(table)
}

// ruleText is a rule in short, everything in it that decides.
func ruleText(r netlink.Rule) string {
	mask := ""
	if r.Mask != nil {
		mask = fmt.Sprintf("/%#x", *r.Mask)
	}
	not := ""
	if r.Invert {
		not = "not "
	}
	ports := fmt.Sprint(r.Dport, r.Sport, r.UIDRange)
	return fmt.Sprintf("rule %d: %s%s type %d mark %#x%s tos %d goto %d iif %q oif %q suppress %d group %d proto %d ports %s", r.Priority, not, r.String(), r.Type,
		r.Mark, mask, r.Tos, r.Goto, r.IifName, r.OifName, r.SuppressPrefixlen, r.SuppressIfgroup, r.IPProto, ports)
}

// Ask asks the kernel about one address.
func Ask(address netip.Addr, from Origin) (Answer, error) {
	options := &netlink.RouteGetOptions{Iif: from.Device, Mark: from.Mark, FIBMatch: true}
	if from.Source.IsValid() {
		options.SrcAddr = from.Source.AsSlice()
	}
	found, err := netlink.RouteGetWithOptions(address.AsSlice(), options)
	if err != nil {
		return refusal(err)
	}
	if len(found) == 0 {
		return Answer{}, fmt.Errorf("fib: the kernel has no answer for %s", address)
	}
	r := found[0]
	names := map[int]string{}
	indexes := []int{r.LinkIndex}
	for _, hop := range r.MultiPath {
		indexes = append(indexes, hop.LinkIndex)
	}
	for _, index := range indexes {
		if l, err := netlink.LinkByIndex(index); err == nil {
			names[index] = l.Attrs().Name
		}
	}
	a := Answer{Device: devices(r, names), Prefix: rtnl.Destination(r), Table: r.Table, KernelPath: rtnl.KernelPath(r)}
	way := wayText(r, names)
	if name := typeNames[r.Type]; name != "" {
		way = slices.Insert(way, 0, name)
	}
	a.Text = fmt.Sprintf("%s, by %s in table %s", strings.Join(way, " "), a.Prefix, tableName(r.Table))
	return a, nil
}

// devices names the devices that a route leads to, in the order of its next
// hops.
func devices(r netlink.Route, names map[int]string) string {
	if len(r.MultiPath) == 0 {
		return names[r.LinkIndex]
	}
	var all []string
	for _, hop := range r.MultiPath {
		if name := names[hop.LinkIndex]; !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}

// refusal is the answer that an error number is: the kernel's way to report
// routes that lead nowhere (net/ipv4/fib_semantics.c, fib_props).
func refusal(err error) (Answer, error) {
	switch {
	case errors.Is(err, unix.EINVAL):
		return Answer{Text: "dropped (blackhole)"}, nil
	case errors.Is(err, unix.EACCES):
		return Answer{Text: "refused (prohibit)"}, nil
	case errors.Is(err, unix.EHOSTUNREACH):
		return Answer{Text: "unreachable, or forwarding is off"}, nil
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ESRCH):
		return Answer{Text: "no route"}, nil
	case errors.Is(err, unix.EXDEV):
		return Answer{Text: "dropped: the source address does not belong there (rp_filter)"}, nil
	}
	return Answer{}, fmt.Errorf("fib: ask the kernel for a route: %w", err)
}
