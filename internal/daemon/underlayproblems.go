package daemon

import (
	"fmt"
	"strings"

	"flanneld/encap"
	"flanneld/internal/host/bridge"
	"flanneld/internal/problem"
)

// partBridge reports bridges of containers that are not in the lease.
const partBridge = "bridge"

// reportUnderlay says what is wrong with the underlay: held is whether the host
// has the address in use, choosing why there is no other.
func (d *daemon) reportUnderlay(held bool, choosing error) {
	var problems []problem.Problem
	if !held {
		text := fmt.Sprintf("the underlay address %s is on no interface that is up", d.underlay.Addr)
		if choosing != nil {
			text += ", and there is no other: " + oneLine(choosing)
		}
		problems = append(problems, problem.Problem{Text: text, Advice: "bring the interface and its address back, or name another with --iface and restart flanneld"})
	}
	if fits := encap.Payload(d.underlay.MTU, d.underlay.Addr); held && fits < d.mtu {
		problems = append(problems, problem.Problem{
			Text: fmt.Sprintf("the MTU of %s is %d now: packets of more than %d bytes are fragmented or refused, and %s takes %d",
				d.underlay.Interface, d.underlay.MTU, fits, d.cfg.Device, d.mtu),
			Advice: fmt.Sprintf("raise it to %d again, or restart flanneld, then what runs the containers, to use the smaller one", d.mtu+encap.Overhead(d.underlay.Addr)),
		})
	}
	if text := linkdownIgnored(d.cfg.Device); text != "" {
		problems = append(problems, problem.Problem{
			Text:   text + ": while flanneld is stopped, packets for containers leave by the default route",
			Advice: "sysctl -w " + text[:len(text)-len(" is 1")] + "=0",
		})
	}
	d.problems.Report(partUnderlay, problems...)
}

// reportBridges says which bridge has a subnet of the network that is not this
// node's lease.
func (d *daemon) reportBridges() {
	p := d.plane
	if p == nil {
		return
	}
	found, err := bridge.List()
	if err != nil {
		return
	}
	stray := bridge.Stray(found, p.network, p.lease)
	if stray == "" {
		d.problems.Report(partBridge)
		return
	}
	text, _, _ := strings.Cut(stray, ": ")
	d.problems.Report(partBridge, problem.Problem{Text: text, Advice: d.strayAdvice(text)})
}

// strayAdvice says how a bridge gets a subnet of the lease. dockerd with
// live-restore keeps docker0's old one as long as containers run.
func (d *daemon) strayAdvice(stray string) string {
	if strings.HasPrefix(stray, bridge.Docker+" ") {
		return "stop its containers, then restart dockerd with the options in " + d.cfg.DockerPath() +
			": docker stop $(docker ps -q); systemctl restart docker"
	}
	return "remove that network and make it again with a subnet in the lease, or outside the network"
}
