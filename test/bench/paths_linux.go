package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"flanneld/test/lab"
)

// path is one way from a pod on one host to a pod on another.
type path struct {
	name     string
	from, to *lab.Pod
}

// fixed makes two hosts whose pods have subnets set by hand: 10.N.1.0/24 and
// 10.N.2.0/24.
func fixed(p *lab.Program, n, mtu int) (h1, h2 *lab.Host) {
	l := lab.New(p)
	h1, h2 = l.Host(), l.Host()
	for i, h := range []*lab.Host{h1, h2} {
		text := fmt.Sprintf("FLANNEL_SUBNET=10.%d.%d.1/24\nFLANNEL_MTU=%d\n", n, i+1, mtu)
		if err := os.WriteFile(filepath.Join(h.RunDir, "subnet.env"), []byte(text), 0o644); err != nil {
			p.Fatalf("write subnet.env: %v", err)
		}
		h.Sysctl(p, "net.ipv4.ip_forward", "1")
	}
	return h1, h2
}

// routing is the limit: the underlay routes to the pods, without a tunnel.
func routing(p *lab.Program) *path {
	h1, h2 := fixed(p, 201, 1500)
	h1.Exec(p, "ip", "route", "add", "10.201.2.0/24", "via", h2.Addr.String())
	h2.Exec(p, "ip", "route", "add", "10.201.1.0/24", "via", h1.Addr.String())
	return &path{"plain routing", h1.Pod(), h2.Pod()}
}

// vxlan is set up as flannel's vxlan backend does it: a route for each subnet
// through a device that has the other host as its remote.
func vxlan(p *lab.Program) *path {
	h1, h2 := fixed(p, 202, 1450)
	for i, pair := range [][2]*lab.Host{{h1, h2}, {h2, h1}} {
		h, peer := pair[0], pair[1]
		h.Exec(p, "ip", "link", "add", "vxlan1", "mtu", "1450", "type", "vxlan", "id", "1", "dstport", "8472",
			"local", h.Addr.String(), "remote", peer.Addr.String(), "dev", "eth0")
		h.Exec(p, "ip", "address", "add", fmt.Sprintf("10.202.%d.0/32", i+1), "dev", "vxlan1")
		h.Exec(p, "ip", "link", "set", "vxlan1", "up")
		h.Exec(p, "ip", "route", "add", fmt.Sprintf("10.202.%d.0/24", 2-i), "via", fmt.Sprintf("10.202.%d.0", 2-i), "dev", "vxlan1", "onlink")
	}
	return &path{reference, h1.Pod(), h2.Pod()}
}

// flanneld is the program under test, as anybody would start it.
func flanneld(p *lab.Program) *path {
	l := lab.New(p)
	h1, h2 := l.Host(), l.Host()
	h1.Start().WaitReady(20 * time.Second)
	h2.Start("--join", h1.Addr.String()).WaitReady(20 * time.Second)
	l.WaitConverged(2)
	return &path{"flanneld", h1.Pod(), h2.Pod()}
}
