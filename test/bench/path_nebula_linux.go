// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"flanneld/test/lab"
)

// nebula routes the pods' subnets through its own overlay. It calls these
// networks "unsafe": no node has their addresses. All other settings are its
// defaults.
func nebula(p *lab.Program, hosts pair, s subject) *path {
	program, signer := find(p, "nebula"), find(p, "nebula-cert")
	dir := hosts.lab.Dir()
	sign := func(args ...string) {
		cmd := exec.Command(signer, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			p.Fatalf("nebula-cert %s: %v: %s", args[0], err, out)
		}
	}
	sign("ca", "-name", "bench")
	built := &path{subject: s}
	for i, h := range hosts.both() {
		sign("sign", "-name", h.NodeName, "-networks", fmt.Sprintf("10.205.0.%d/24", i+1), "-unsafe-networks", fmt.Sprintf("10.204.%d.0/24", i+1))
		file := filepath.Join(dir, h.NodeName+".yml")
		if err := os.WriteFile(file, []byte(nebulaConfig(dir, h, hosts.both()[1-i], i)), 0o600); err != nil {
			p.Fatalf("write nebula's configuration: %v", err)
		}
		built.processes = append(built.processes, start(p, h.Namespace, program, "-config", file))
	}
	built.from, built.to = hosts.pods(p, 204, 1300)
	return built
}

// nebulaConfig is the configuration of host i, 0 or 1.
func nebulaConfig(dir string, h, peer *lab.Host, i int) string {
	return strings.NewReplacer(
		"DIR", dir, "NAME", h.NodeName, "PEER_UNDERLAY", peer.Addr.String(), "PEER", fmt.Sprintf("10.205.0.%d", 2-i), "THEIRS", fmt.Sprintf("10.204.%d.0/24", 2-i),
	).Replace(`pki: {ca: DIR/ca.crt, cert: DIR/NAME.crt, key: DIR/NAME.key}
static_host_map: {"PEER": ["PEER_UNDERLAY:4242"]}
lighthouse: {am_lighthouse: false}
listen: {host: 0.0.0.0, port: 4242}
tun:
  dev: nebula1
  mtu: 1300
  unsafe_routes: [{route: THEIRS, via: PEER}]
logging: {level: error}
firewall:
  outbound: [{port: any, proto: any, host: any, local_cidr: any}]
  inbound: [{port: any, proto: any, host: any, local_cidr: any}]
`)
}
