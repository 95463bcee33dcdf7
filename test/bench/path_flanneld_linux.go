// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"flanneld/test/lab"
)

// flanneld is the program under test, with its defaults.
func flanneld(p *lab.Program, hosts pair, s subject) *path {
	return withFlanneld(hosts, s)
}

// flanneldWithoutOffloads handles every packet by itself.
func flanneldWithoutOffloads(p *lab.Program, hosts pair, s subject) *path {
	return withFlanneld(hosts, s, "--offload", "off")
}

// flanneldBy has the kernel carry packets by a backend. It waits until the
// backend's path is proven and in use, both ways.
func flanneldBy(backend string) func(*lab.Program, pair, subject) *path {
	return func(p *lab.Program, hosts pair, s subject) *path {
		built := withFlanneld(hosts, s, "--backend", backend)
		lab.WaitKernelPaths([]*lab.Host{hosts.h1, hosts.h2}, 20*time.Second)
		return built
	}
}

func withFlanneld(hosts pair, s subject, args ...string) *path {
	args = append(args, "--lanes", s.Lanes)
	d1 := hosts.h1.Start(args...).WaitReady(20 * time.Second)
	d2 := hosts.h2.Start(append(args, "--join", hosts.h1.Addr.String())...).WaitReady(20 * time.Second)
	hosts.lab.WaitConverged(2)
	return &path{subject: s, from: hosts.h1.Pod(), to: hosts.h2.Pod(), processes: []int{d1.PID(), d2.PID()}}
}
