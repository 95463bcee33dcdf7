// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"strings"

	"flanneld/internal/host/bridge"
	"flanneld/internal/problem"
)

// reportBridges names a bridge with a subnet of the network outside this node's
// lease.
func (d *daemon) reportBridges() {
	p := d.planes.current()
	if p == nil {
		return
	}
	found, err := bridge.List()
	if err != nil {
		return
	}
	stray := bridge.Stray(found, p.Network(), p.Lease())
	if stray == "" {
		d.problems.Report(problem.PartBridge)
		return
	}
	text, _, _ := strings.Cut(stray, ": ")
	d.problems.Report(problem.PartBridge, problem.Problem{Text: text, Advice: d.strayAdvice(text)})
}

// strayAdvice is how a bridge gets a subnet of the lease. dockerd with
// live-restore keeps docker0's old one as long as containers run.
func (d *daemon) strayAdvice(stray string) string {
	if strings.HasPrefix(stray, bridge.Docker+" ") {
		return "stop its containers, then restart dockerd with the options in " + d.cfg.DockerPath() +
			": docker stop $(docker ps -q); systemctl restart docker"
	}
	return "remove that network and make it again with a subnet in the lease, or outside the network"
}
