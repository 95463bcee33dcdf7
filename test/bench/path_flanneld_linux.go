// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
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
		environment := []string{}
		if suite == seal.ChaChaPoly {
			environment = append(environment, "GODEBUG=cpu.aes=off")
		}
		d1 := startFlanneld(hosts.h1, environment, "--sealed", "--lanes", s.Lanes)
		d2 := startFlanneld(hosts.h2, environment, "--sealed", "--lanes", s.Lanes, "--join", hosts.h1.Addr.String(),
			"--key-file", filepath.Join(hosts.h1.StateDir, "cluster-key"))
		hosts.lab.WaitConverged(2)
		for i, h := range hosts.both() {
			usesSuite(p, h, hosts.both()[1-i], suite)
		}
		return &path{subject: s, from: hosts.h1.Pod(), to: hosts.h2.Pod(), processes: []int{d1.PID(), d2.PID()}}
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

// withFlanneld starts flanneld on both hosts.
func withFlanneld(hosts pair, s subject, args ...string) *path {
	args = append(args, "--lanes", s.Lanes)
	d1 := startFlanneld(hosts.h1, nil, args...)
	d2 := startFlanneld(hosts.h2, nil, append(args, "--join", hosts.h1.Addr.String())...)
	hosts.lab.WaitConverged(2)
	return &path{subject: s, from: hosts.h1.Pod(), to: hosts.h2.Pod(), processes: []int{d1.PID(), d2.PID()}}
}

// startFlanneld starts flanneld on a host, and waits until it is ready.
func startFlanneld(h *lab.Host, environment []string, args ...string) *lab.Daemon {
	cmd := h.Command(append([]string{"run", "--node-name", h.NodeName}, args...)...)
	cmd.Env = append(cmd.Env, environment...)
	return h.StartCommand(cmd).WaitReady(proofTime)
}
