// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"flanneld/test/lab"
)

func main() {
	lab.Enter(func() ([]string, error) {
		say("Building flanneld.")
		return lab.Build()
	})
	os.Exit(lab.Run("demo", demonstrate))
}

// container is one of either kind.
type container struct {
	*lab.Namespace
	addr netip.Addr
	host *lab.Host
}

func demonstrate(p *lab.Program) {
	start := time.Now()
	say("Three hosts, each a network namespace of this machine, on one bridge.")
	l := lab.New(p)
	h1, h2, h3 := l.Host(), l.Host(), l.Host()

	say("host1 founds the network; host2 and host3 join it.")
	command(h1, "flanneld run --backend auto")
	h1.Start("--backend", "auto").WaitReady(20 * time.Second)
	for _, h := range []*lab.Host{h2, h3} {
		command(h, "flanneld run --backend auto --join "+h1.Addr.String())
		h.Start("--backend", "auto", "--join", h1.Addr.String())
	}
	for _, h := range l.Hosts() {
		h.Daemon.WaitReady(20 * time.Second)
		say("  %s is ready and has %v", h.NodeName, h.Lease())
	}
	l.WaitConverged(3)
	say("The kernel carries the packets itself, as soon as a path to a host is proven.")
	lab.WaitKernelPaths(l.Hosts(), 20*time.Second, " dev eth0 ") // the best path of the list
	command(h2, "flanneld nodes")
	fmt.Print(indent(h2.MustFlanneld("nodes")))
	command(h2, "flanneld ping host1")
	fmt.Print(indent(h2.MustFlanneld("ping", "host1")))

	containers := withDocker(p, l.Hosts())
	if containers == nil {
		containers = withPods(l.Hosts())
	}

	say("Each container pings the two others, by their own addresses.")
	for _, from := range containers {
		for _, to := range containers {
			if from.host != to.host {
				from.Reachable(p, to.addr, 10*time.Second)
				say("  %v on %s -> %v on %s: %v", from.addr, from.host.NodeName, to.addr, to.host.NodeName, best(p, from, to))
			}
		}
	}

	say("How fast is it? TCP, one connection, 3 s for each pair. Both hosts share this machine's processors.")
	measure(p, containers)

	say("The same in flanneld's own datagrams, which need nothing from the underlay. Containers keep running.")
	pings := containers[0].StartPinging(p, containers[2].addr, 10*time.Millisecond)
	for i, h := range l.Hosts() {
		seed := l.Hosts()[(i+1)%3].Addr.String()
		command(h, "kill $(pidof flanneld); flanneld run --join "+seed)
		h.Daemon.Stop()
		h.Start("--join", seed).WaitReady(20 * time.Second)
	}
	l.WaitConverged(3)
	if h1.Status().Shortcut.Ready {
		say("This kernel can carry the datagrams itself.")
		lab.WaitShortcuts(20*time.Second, l.Hosts()...)
	}
	lost(containers, pings)
	command(h2, "flanneld nodes")
	fmt.Print(indent(h2.MustFlanneld("nodes")))
	measure(p, containers)

	say("host3's daemon is killed and started again. Its containers should hardly notice.")
	pings = containers[0].StartPinging(p, containers[2].addr, 10*time.Millisecond)
	h3.Daemon.Kill()
	command(h3, "kill -9 $(pidof flanneld); flanneld run")
	h3.Start().WaitReady(20 * time.Second)
	containers[0].Reachable(p, containers[2].addr, 10*time.Second)
	lost(containers, pings)
	command(h1, "flanneld status")
	fmt.Print(indent(h1.MustFlanneld("status")))
	say("Done after %v. Everything was in namespaces that end with this program: nothing is left.", time.Since(start).Round(time.Second))
}

// measure shows the rate of a TCP connection from each container to the next.
func measure(p *lab.Program, containers []container) {
	terminal := lab.IsTerminal(os.Stdout)
	for i, from := range containers {
		to := containers[(i+1)%len(containers)]
		name := fmt.Sprintf("  %s -> %s", from.host.NodeName, to.host.NodeName)
		rate := lab.Throughput(p, from.Namespace, to.Namespace, netip.AddrPortFrom(to.addr, 5201), 3*time.Second, func(now float64) {
			if terminal {
				fmt.Printf("\r%s  %6.2f Gbit/s ", name, now/1e9)
			}
		})
		if terminal {
			fmt.Print("\r")
		}
		say("%s  %6.2f Gbit/s on average", name, rate/1e9)
	}
}

// lost ends the pings and says how many were lost.
func lost(containers []container, pings *lab.Pinger) {
	count := pings.Stop()
	say("  %d pings from %v to %v, one every 10 ms: %d lost", count.Sent, containers[0].addr, containers[2].addr, count.Lost)
}

// withDocker starts a dockerd and a container on each host; it returns nil
// where Docker is not installed or does not run.
func withDocker(p *lab.Program, hosts []*lab.Host) (all []container) {
	for _, program := range []string{"dockerd", "containerd", "runc", "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			say("This machine has no %s, so namespaces replace containers.", program)
			return nil
		}
	}
	err := p.Try(func() {
		release := lab.DockerInstalled(p)
		say("A dockerd on each host, started with the options from flanneld's docker file, and a container in each.")
		for _, h := range hosts {
			command(h, "dockerd"+h.DockerOptions())
			c := h.StartDocker(release).Container()
			say("  the container got %v", c.Addr)
			all = append(all, container{c.Namespace, c.Addr, h})
		}
	})
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		say("Docker does not run here (%s), so namespaces replace containers.", first)
		return nil
	}
	return all
}

func withPods(hosts []*lab.Host) (all []container) {
	for _, h := range hosts {
		pod := h.Pod()
		all = append(all, container{pod.Namespace, pod.Addr, h})
	}
	return all
}

// best is the shortest round trip of a few.
func best(p *lab.Program, from, to container) time.Duration {
	shortest := time.Hour
	for range 5 {
		if a := from.Ping(p, lab.Echo{To: to.addr}); a.From == to.addr {
			shortest = min(shortest, a.Time)
		}
	}
	return shortest.Round(time.Microsecond)
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// command shows what an operator would type.
func command(h *lab.Host, line string) { say("  %s# %s", h.NodeName, line) }

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
