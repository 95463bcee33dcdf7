// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flanneld/internal/seal"
	"flanneld/test/lab"
)

// path is one way from a pod on one host to a pod on another.
type path struct {
	subject
	from, to  *lab.Pod
	processes []int   // of the hosts' daemons, if it has any
	atRest    float64 // bytes that the larger daemon held before the first measurement
}

// pair is two hosts on an underlay of their own.
type pair struct {
	lab    *lab.Lab
	h1, h2 *lab.Host
}

// builders set up what joins the two hosts' pods, and return the path. They
// fail the program.
var builders = map[string]func(*lab.Program, pair, subject) *path{
	"routing":         routing,
	reference:         vxlan,
	"flanneld":        flanneld,
	userSpace:         flanneldInUserSpace,
	"flanneld-off":    flanneldWithoutOffloads,
	"flanneld-aes":    flanneldSealed(seal.AESGCM),
	"flanneld-chacha": flanneldSealed(seal.ChaChaPoly),
	"flanneld-direct": flanneldBy("host-gw"),
	"flanneld-vxlan":  flanneldBy("vxlan"),
	"flanneld-auto":   flanneldBy("auto"),
	wireguardGo:       wireguard,
	"flannel":         flannel,
	"nebula":          nebula,
}

// buildPath sets up two hosts and the subject's way between them.
func buildPath(p *lab.Program, s subject) (built *path, err error) {
	err = p.Try(func() {
		l := lab.New(p)
		hosts := pair{l, l.Host(), l.Host()}
		if !s.Segmentation {
			hosts.withoutSegmentation(p)
		}
		built = builders[s.name](p, hosts, s)
		if s.Docker {
			built.withDocker(p)
		}
		for _, pod := range []*lab.Pod{built.from, built.to} {
			chooseCongestion(p, pod, s.Congestion)
		}
		built.from.Reachable(p, built.to.Addr, 10*time.Second)
		built.weigh(p)
	})
	return built, err
}

// chooseCongestion sets the congestion control of the pod's connections on its
// default route, for opened and for accepted ones. The kernel looks there
// before a connection begins. A program that asks for another one later (iperf3
// -C does) keeps what the machine's default has begun. BBR leaves its pacing
// behind. The timers for that cost all programs on the machine a third of the
// throughput. A namespace's own default cannot be set freely.
func chooseCongestion(p *lab.Program, pod *lab.Pod, algorithm string) {
	route := strings.Fields(pod.Exec(p, "ip", "route", "show", "default"))
	pod.Exec(p, "ip", slices.Concat([]string{"route", "replace"}, route, []string{"congctl", algorithm})...)
}

// alive returns an error if a daemon has ended.
func (path *path) alive() error {
	for _, pid := range path.processes {
		if _, err := memoryOf(pid); err != nil {
			return err
		}
	}
	return nil
}

// weigh notes what the daemons hold as long as they have nothing to do.
func (path *path) weigh(p *lab.Program) {
	for _, pid := range path.processes {
		m, err := memoryOf(pid)
		if err != nil {
			p.Fatalf("%v", err)
		}
		path.atRest = max(path.atRest, m.resident)
	}
}

// withoutSegmentation turns segmentation offload off at both ends of the hosts'
// links to the underlay. Packets then leave a host at the size of the MTU.
func (hosts pair) withoutSegmentation(p *lab.Program) {
	for _, h := range hosts.both() {
		ethtool(p, h.Namespace, "eth0")
		ethtool(p, hosts.lab.Switch, fmt.Sprintf("host%d", h.Number))
	}
}

func ethtool(p *lab.Program, ns *lab.Namespace, device string) {
	ns.Exec(p, "ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off")
	features := ns.Exec(p, "ethtool", "-k", device)
	for _, name := range []string{"tcp-segmentation-offload", "generic-segmentation-offload", "tx-udp-segmentation"} {
		if !strings.Contains(features, name+": off") {
			p.Fatalf("%s of %s in %s cannot be switched off", name, device, ns.Name)
		}
	}
}

func (hosts pair) both() [2]*lab.Host { return [2]*lab.Host{hosts.h1, hosts.h2} }

// pods gives each host a pod in a subnet set by hand: 10.N.1.0/24 on the first
// host and 10.N.2.0/24 on the second.
func (hosts pair) pods(p *lab.Program, n, mtu int) (from, to *lab.Pod) {
	for i, h := range hosts.both() {
		text := fmt.Sprintf("FLANNEL_NETWORK=10.%d.0.0/16\nFLANNEL_SUBNET=10.%d.%d.1/24\nFLANNEL_MTU=%d\n", n, n, i+1, mtu)
		if err := os.WriteFile(filepath.Join(h.RunDir, "subnet.env"), []byte(text), 0o644); err != nil {
			p.Fatalf("write subnet.env: %v", err)
		}
		h.Sysctl(p, "net.ipv4.ip_forward", "1")
	}
	return hosts.h1.Pod(), hosts.h2.Pod()
}

// find returns where a program is, the first of the names that is on PATH.
func find(p *lab.Program, names ...string) string {
	for _, name := range names {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	p.Fatalf("no %s on PATH", strings.Join(names, " or "))
	return ""
}

// start starts a daemon in a namespace, for as long as the paths are there, and
// returns its process ID.
func start(p *lab.Program, ns *lab.Namespace, name string, args ...string) int {
	cmd := exec.Command(name, args...)
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := ns.Start(cmd); err != nil {
		p.Fatalf("start %s: %v", name, err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	p.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if p.Failed() {
			p.Logf("---- log of %s in %s\n%s", filepath.Base(name), ns.Name, log)
		}
	})
	return cmd.Process.Pid
}
