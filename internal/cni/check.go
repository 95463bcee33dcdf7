// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
)

// codeLeaseChanged is this plugin's own error code: the container has an
// address that is not in this host's lease any more.
const codeLeaseChanged = 100

// check compares what ADD was done with against the lease of today, and has the
// delegate check the rest.
func check(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	now, err := c.current()
	if err != nil {
		return err
	}
	nameNextHops(c.PrevResult)
	a, previous := attachment{args.ContainerID, args.IfName}, c.previous()
	delegated, err := a.kept(c.DataDir, previous)
	if err != nil { // lost; the delegate compares the lease of today
		delegated = laidOver(now, previous)
	}
	if then, today := leaseIn(delegated), leaseIn(now); then != today {
		return fail(codeLeaseChanged, "container %s was given an address of %s, and this host's lease is %s now: start the container anew",
			a.container, then, today)
	}
	d, err := findDelegate(delegated)
	if err != nil {
		return err
	}
	return d.call(context.Background(), "CHECK")
}

// nameNextHops gives each route of a result the next hop that it has by the
// specification if it names none: the gateway of the first address of its
// family. The plugin bridge before 1.2 looks for a route without a next hop
// otherwise, and finds none.
func nameNextHops(result map[string]any) {
	gateways := map[bool]string{} // by whether it is IPv4
	for _, ip := range objects(result["ips"]) {
		text, _ := ip["gateway"].(string)
		if a, err := netip.ParseAddr(text); err == nil && gateways[a.Is4()] == "" {
			gateways[a.Is4()] = text
		}
	}
	for _, route := range objects(result["routes"]) {
		text, _ := route["dst"].(string)
		to, err := netip.ParsePrefix(text)
		if err != nil || route["gw"] != nil || gateways[to.Addr().Is4()] == "" {
			continue
		}
		route["gw"] = gateways[to.Addr().Is4()]
	}
}

// objects are the objects in a list of JSON.
func objects(list any) (all []map[string]any) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		if object, ok := entry.(map[string]any); ok {
			all = append(all, object)
		}
	}
	return all
}
