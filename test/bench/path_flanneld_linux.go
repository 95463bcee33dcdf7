// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"time"

	"flanneld/internal/seal"
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

// flanneldSealed encrypts every packet with a cipher. The first host has made
// the key. A program takes the cipher that its processor does fastest, so
// GODEBUG hides the instructions for AES where that is to be the other one. The
// path counts only if both hosts say that they use the cipher.
func flanneldSealed(suite seal.Suite) func(*lab.Program, pair, subject) *path {
	return func(p *lab.Program, hosts pair, s subject) *path {
		var environment []string
		if suite == seal.ChaChaPoly {
			environment = []string{"GODEBUG=cpu.aes=off"}
		}
		sealed := joined(hosts, s, environment, []string{"--key-file", filepath.Join(hosts.h1.StateDir, "cluster-key")}, "--sealed")
		for i, h := range hosts.both() {
			usesSuite(p, h, hosts.both()[1-i], suite)
		}
		return sealed
	}
}

// usesSuite waits until a host has a session with another one, and fails the
// program if it has another cipher.
func usesSuite(p *lab.Program, h, other *lab.Host, want seal.Suite) {
	var got string
	lab.Eventually(p, proofTime, h.NodeName+" to have a session", func() error {
		nodes, err := h.Nodes()
		if err != nil {
			return err
		}
		got = nodes.Find(other.NodeName).Sealed.Suite
		return lab.Expect(got != "", "it has none")
	})
	if got != want.String() {
		p.Fatalf("%s uses %s, not %s: this processor does it faster", h.NodeName, got, want)
	}
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

func withFlanneld(hosts pair, s subject, args ...string) *path {
	return joined(hosts, s, nil, nil, args...)
}

// joined starts flanneld on both hosts, with further variables. second are
// arguments of the second host alone.
func joined(hosts pair, s subject, environment, second []string, args ...string) *path {
	args = append(args, "--lanes", s.Lanes)
	d1 := hosts.h1.StartWith(environment, args...).WaitReady(proofTime)
	second = slices.Concat(args, second, []string{"--join", hosts.h1.Addr.String()})
	d2 := hosts.h2.StartWith(environment, second...).WaitReady(proofTime)
	hosts.lab.WaitConverged(2)
	return &path{subject: s, from: hosts.h1.Pod(), to: hosts.h2.Pod(), processes: []int{d1.PID(), d2.PID()}}
}
