// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// The ports of the service's tests.
const (
	targetPort = 7010
	nodePort   = 30080
	localPort  = 30081
	hostPort   = 8088
)

// services are two that lead to one pod, and a pod with a port of its node. The
// parameters are the node's name, and the names of the images.
const services = `
apiVersion: v1
kind: Service
metadata: {name: any}
spec:
  type: NodePort
  selector: {lab.test/target: "yes"}
  ports: [{port: 80, targetPort: %d, nodePort: %d}]
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {lab.test/target: "yes"}
  ports: [{port: 80, targetPort: %d, nodePort: %d}]
---
apiVersion: v1
kind: Pod
metadata: {name: published, labels: {app: published}}
spec:
  nodeSelector: {kubernetes.io/hostname: %s}
  terminationGracePeriodSeconds: 0
  containers:
  - {name: published, image: "` + podImage + `", imagePullPolicy: Never, ports: [{containerPort: %d, hostPort: %d}]}
`

// servicesReachPods: Services of kube-proxy and ports of the node lead to a pod
// on another node, and the pod sees by which address it was asked.
func servicesReachPods(t *testing.T, c *cluster) {
	const bytes = 1 << 18
	pods := c.probes(t)
	target := pods[1]
	c.kubectl("label", "--overwrite", "pod", target.name, "lab.test/target=yes")
	c.apply(fmt.Sprintf(services, targetPort, nodePort, targetPort, localPort, c.nodes[0].NodeName, targetPort, hostPort))
	service := c.clusterIP(t, "any")
	listen := at(target.addr, targetPort)
	c.waitService(t, pods[0].Namespace, target, at(service, 80))
	c.waitService(t, c.host.Namespace, target, at(target.node.Addr, localPort))

	for i, from := range pods {
		got := lab.SendTCPVia(t, from.Namespace, target.Namespace, at(service, 80), listen, bytes)
		if i != 1 && got.Source != from.addr {
			t.Errorf("%v reached the Service as %v", from.addr, got.Source)
		}
	}
	for _, n := range c.nodes {
		c.waitService(t, n.Namespace, target, at(service, 80))
		lab.SendTCPVia(t, n.Namespace, target.Namespace, at(service, 80), listen, bytes)
		c.waitService(t, c.host.Namespace, target, at(n.Addr, nodePort))
		lab.SendTCPVia(t, c.host.Namespace, target.Namespace, at(n.Addr, nodePort), listen, bytes)
	}
	got := lab.SendTCPVia(t, c.host.Namespace, target.Namespace, at(target.node.Addr, localPort), listen, bytes)
	if got.Source != c.host.Addr {
		t.Errorf("%v reached the node's own pod as %v", c.host.Addr, got.Source)
	}
	portsReachPods(t, c, pods)
}

// portsReachPods: hostPort, by CNI's portmap.
func portsReachPods(t *testing.T, c *cluster, pods []*pod) {
	const bytes = 1 << 18
	n := c.nodes[0]
	published := n.waitPod(t, "app=published")
	listen := at(published.addr, targetPort)
	got := lab.SendTCPVia(t, c.host.Namespace, published.Namespace, at(n.Addr, hostPort), listen, bytes)
	if got.Source != c.host.Addr {
		t.Errorf("%v reached the port as %v", c.host.Addr, got.Source)
	}
	got = lab.SendTCPVia(t, pods[1].Namespace, published.Namespace, at(n.Addr, hostPort), listen, bytes)
	t.Logf("a pod on %s reaches the port of %s as %v", pods[1].node.NodeName, n.NodeName, got.Source)
}

func (c *cluster) clusterIP(t *testing.T, name string) netip.Addr {
	t.Helper()
	var service object
	if err := c.get(&service, "service", name); err != nil {
		t.Fatal(err)
	}
	address, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// waitService waits until kube-proxy of the asked node knows the target.
func (c *cluster) waitService(t *testing.T, from *lab.Namespace, target *pod, service netip.AddrPort) {
	t.Helper()
	listener := target.Listen(t, at(target.addr, targetPort))
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	lab.Eventually(t, 30*time.Second, fmt.Sprintf("%v to lead to %v", service, target.addr), func() error {
		conn, err := from.Dial(service, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}
