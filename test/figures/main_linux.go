// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"flanneld/test/lab"
)

// options are the command line's.
type options struct {
	nodes  string
	claims int
	deaths int
	cuts   string
}

// patience is how long anything may take before the program gives up.
const patience = 40 * time.Second

func main() {
	var o options
	flag.StringVar(&o.nodes, "nodes", "10,30", "sizes of the networks")
	flag.IntVar(&o.claims, "claims", 50, "how many leases are claimed in each")
	flag.IntVar(&o.deaths, "deaths", 3, "how many nodes are killed in each")
	flag.StringVar(&o.cuts, "cuts", "20s,75s", "lengths of cuts; gossip itself forgets the dead after a minute")
	flag.Parse()
	lab.Enter(func() ([]string, error) {
		fmt.Fprintln(os.Stderr, "Building flanneld.")
		return lab.Build()
	})
	os.Exit(lab.Run("figures", func(p *lab.Program) { o.run(p) }))
}

func (o options) run(p *lab.Program) {
	for _, size := range list(o.nodes) {
		n, err := strconv.Atoi(size)
		if err != nil || n < 2 {
			p.Fatalf("-nodes %s: not a number of nodes", size)
		}
		o.measure(p, n)
	}
}

// list splits a comma separated list.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// measure prints the figures of a network of n nodes.
func (o options) measure(p *lab.Program, n int) {
	l := lab.New(p)
	start := time.Now()
	hosts := l.Network(n)
	fmt.Printf("%d nodes, made, started and agreed   %.1f s\n", n, time.Since(start).Seconds())
	claims, leases, members := claim(p, l, hosts, o.claims)
	fmt.Printf("  joined to lease confirmed        %v\n", claims)
	fmt.Printf("  joined to lease known everywhere %v\n", leases)
	fmt.Printf("  joined to member everywhere      %v\n", members)
	fmt.Printf("  death to known everywhere        %v\n", deaths(p, hosts, o.deaths))
	for _, text := range list(o.cuts) {
		length, err := time.ParseDuration(text)
		if err != nil {
			p.Fatalf("-cuts %s: %v", text, err)
		}
		fmt.Printf("  healed to equal, cut of %-8v %v\n", length, heal(p, l, hosts, length))
	}
	for _, h := range hosts {
		h.Daemon.Kill()
	}
}

// claim makes a newcomer join, get a lease and leave again, n times. It
// measures three times from the join. The first ends when the lease is
// confirmed, the second when the last of the others has heard of the lease. The
// third ends when the last one has heard of the member, which only gossip
// announces.
func claim(p *lab.Program, l *lab.Lab, hosts []*lab.Host, n int) (claims, leases, members times) {
	newcomer := l.Host()
	for i := range n {
		start := time.Now()
		d := newcomer.Start("--join", hosts[i%len(hosts)].Addr.String()).WaitReady(patience)
		joined, first := moment(d.Log(), start, `msg="joined a network"`)
		confirmed, second := moment(d.Log(), start, `msg="lease confirmed"`)
		if !first || !second {
			p.Fatalf("nothing of a claim in the log:\n%s", d.Log())
		}
		claims = append(claims, confirmed.Sub(joined))
		leases = append(leases, everywhere(p, hosts, start, "msg=lease ", "subnet="+newcomer.Lease().String()).Sub(joined))
		id := newcomer.Status().Node.ID[:shortID]
		members = append(members, everywhere(p, hosts, start, `msg="node is alive"`, "id="+id).Sub(joined))
		newcomer.MustFlanneld("leave")
		<-d.Gone()
		lab.WaitAgreed(p, hosts, len(hosts), patience)
	}
	return claims, leases, members
}

// shortID is how much of a node's ID the log has.
const shortID = 8

// everywhere is when the last of the hosts had said so.
func everywhere(p *lab.Program, hosts []*lab.Host, since time.Time, words ...string) (last time.Time) {
	for _, h := range hosts {
		lab.Eventually(p, patience, fmt.Sprintf("%q in the log of %s", words, h.NodeName), func() error {
			at, ok := moment(h.Daemon.Log(), since, words...)
			if at.After(last) {
				last = at
			}
			return lab.Expect(ok, "not yet")
		})
	}
	return last
}

// deaths kills the last hosts, one after the other, and measures until all
// before it have noticed.
func deaths(p *lab.Program, hosts []*lab.Host, n int) (all times) {
	for i := range n {
		victim := hosts[len(hosts)-1-i]
		start := time.Now()
		victim.Daemon.Kill()
		others := hosts[:len(hosts)-1-i]
		noticed := everywhere(p, others, start, `msg="node is dead"`, "node="+victim.NodeName+" ")
		all = append(all, noticed.Sub(start).Round(time.Millisecond))
		victim.Start("--join", hosts[0].Addr.String()).WaitReady(patience)
		lab.WaitAgreed(p, hosts, len(hosts), patience)
	}
	return all
}

// heal cuts the network in two halves and measures how long they need after
// that to have one table again.
func heal(p *lab.Program, l *lab.Lab, hosts []*lab.Host, length time.Duration) time.Duration {
	half := len(hosts) / 2
	l.Block(lab.Between(hosts[:half], hosts[half:])...)
	<-time.After(length)
	l.Mend()
	return lab.WaitAgreed(p, hosts, len(hosts), patience).Round(100 * time.Millisecond)
}
