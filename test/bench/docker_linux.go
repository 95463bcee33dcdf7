// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"strings"
	"time"

	"flanneld/test/lab"
)

// dockerRules are those that Docker 28 makes for a container on docker0, with a
// published port somewhere.
const dockerRules = `*raw
-A PREROUTING -d POD/32 ! -i docker0 -j DROP
COMMIT
*filter
:FORWARD DROP
:DOCKER -
:DOCKER-BRIDGE -
:DOCKER-CT -
:DOCKER-FORWARD -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER ! -i docker0 -o docker0 -j DROP
COMMIT
*nat
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s LEASE ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
`

// exceptions are what an operator adds by hand, so that Docker lets the
// containers of hosts reach one another.
const exceptions = `*raw
-I PREROUTING -s NETWORK -d NETWORK -j ACCEPT
COMMIT
*filter
-I DOCKER-USER -s NETWORK -d NETWORK -j ACCEPT
COMMIT
*nat
-I POSTROUTING -s NETWORK -d NETWORK -j ACCEPT
COMMIT
`

// withDocker gives both hosts of a path the rules of a Docker host. flanneld
// makes the exceptions by itself.
func (path *path) withDocker(p *lab.Program) {
	for _, pod := range []*lab.Pod{path.from, path.to} {
		rules := dockerRules
		if pod.Host.Daemon == nil {
			rules += exceptions
		}
		cmd := exec.Command("iptables-restore", "--noflush")
		cmd.Stdin = strings.NewReader(strings.NewReplacer(
			"POD", pod.Addr.String(), "LEASE", pod.Host.Lease().String(), "NETWORK", pod.Host.SubnetFile()["FLANNEL_NETWORK"],
		).Replace(rules))
		if r := pod.Host.RunCommand(p, cmd); r.Status != 0 {
			p.Fatalf("%s: iptables-restore: %s", pod.Host.NodeName, r.Stderr)
		}
	}
	path.from.Reachable(p, path.to.Addr, 10*time.Second)
	path.to.Reachable(p, path.from.Addr, 10*time.Second)
}
