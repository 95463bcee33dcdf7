// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"time"

	"flanneld/test/lab"
)

// proofTime is how long a path or the short-cut may take to be proven.
const proofTime = 20 * time.Second

// flanneld is the program under test, with the short-cut. It waits until that
// is proven and in use, both ways.
func flanneld(p *lab.Program, hosts pair, s subject) *path {
	built := withFlanneld(hosts, s, "--shortcut", "auto")
	lab.WaitShortcuts(proofTime, hosts.h1, hosts.h2)
	return built
}

// flanneldInUserSpace carries every packet by its lanes.
func flanneldInUserSpace(p *lab.Program, hosts pair, s subject) *path {
	return withFlanneld(hosts, s, "--shortcut", "off")
}

// flanneldWithoutOffloads handles every packet by itself.
func flanneldWithoutOffloads(p *lab.Program, hosts pair, s subject) *path {
	return withFlanneld(hosts, s, "--shortcut", "off", "--offload", "off")
}

// flanneldSealed encrypts every packet, with the cipher that both hosts do
// fastest. The first host has made the key.
func flanneldSealed(p *lab.Program, hosts pair, s subject) *path {
	return joined(hosts, s, []string{"--key-file", filepath.Join(hosts.h1.StateDir, "cluster-key")}, "--sealed")
}

// flanneldBy has the kernel carry packets by a backend. It waits until the
// backend's path is proven and in use, both ways.
func flanneldBy(backend string) func(*lab.Program, pair, subject) *path {
	return func(p *lab.Program, hosts pair, s subject) *path {
		built := withFlanneld(hosts, s, "--backend", backend)
		lab.WaitKernelPaths([]*lab.Host{hosts.h1, hosts.h2}, proofTime)
		return built
	}
}

func withFlanneld(hosts pair, s subject, args ...string) *path { return joined(hosts, s, nil, args...) }

// joined starts flanneld on both hosts. second are arguments of the second
// host alone.
func joined(hosts pair, s subject, second []string, args ...string) *path {
	args = append(args, "--lanes", s.Lanes)
	d1 := hosts.h1.Start(args...).WaitReady(20 * time.Second)
	second = slices.Concat(args, second, []string{"--join", hosts.h1.Addr.String()})
	d2 := hosts.h2.Start(second...).WaitReady(20 * time.Second)
	hosts.lab.WaitConverged(2)
	return &path{subject: s, from: hosts.h1.Pod(), to: hosts.h2.Pod(), processes: []int{d1.PID(), d2.PID()}}
}
