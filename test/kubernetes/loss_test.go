// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"flanneld/test/lab"
)

// nodeKilledAndBack: the power of a node fails. The others do not notice, and
// the node comes back with the same addresses.
func nodeKilledAndBack(t *testing.T, c *cluster) {
	lose(t, c, c.nodes[2], func(*node) {})
}

// nodeReimaged: a node comes back from its image. Its name is the same; the
// identity and the lease on its disk are gone.
func nodeReimaged(t *testing.T, c *cluster) {
	lose(t, c, c.nodes[2], (*node).wipe)
}

func (n *node) wipe() { n.Wipe() }

// lose takes a node's power away, does something to its disk, and gives it
// power again, under traffic between the others.
func lose(t *testing.T, c *cluster, n *node, repair func(*node)) {
	pods := c.probes(t)
	before, err := n.lease(t)
	if err != nil {
		t.Fatal(err)
	}
	others := pods[0].StartPinging(t, pods[1].addr, 20*time.Millisecond)
	n.powerOff(t)
	start := time.Now()
	lab.Eventually(t, 90*time.Second, n.NodeName+" to be not ready", func() error {
		status, why, err := n.condition("Ready")
		return lab.Expect(err == nil && status != "True", "Ready is %q: %s (%v)", status, why, err)
	})
	t.Logf("not ready after %v", time.Since(start).Round(time.Second))
	repair(n)
	start = time.Now()
	n.powerOn(t)
	c.waitReady(t, 180*time.Second)
	t.Logf("ready %v after its power came back", time.Since(start).Round(100*time.Millisecond))
	after, err := n.lease(t)
	if err != nil || after != before {
		t.Errorf("%s had %s and has %s (%v)", n.NodeName, before, after, err)
	}
	back := n.probe(t)
	pods[0].Reachable(t, back.addr, 30*time.Second)
	t.Logf("its pods are reached %v after its power came back", time.Since(start).Round(100*time.Millisecond))
	back.Reachable(t, pods[1].addr, 10*time.Second)
	if got := others.Stop(); got.Lost != 0 {
		t.Errorf("between the other nodes: %v", got)
	} else {
		t.Logf("between the other nodes: %v", got)
	}
	podsReachEachOther(t, c)
}

// lease is the subnet that the node holds; it has to be its podCIDR.
func (n *node) lease(t *testing.T) (string, error) {
	var o object
	if err := n.c.get(&o, "node", n.NodeName); err != nil {
		return "", err
	}
	status, err := n.status(t)
	if err != nil {
		return "", err
	}
	return status.Lease.Subnet, lab.Expect(status.Lease.Subnet == o.Spec.PodCIDR, "the lease is %s, podCIDR %s", status.Lease.Subnet, o.Spec.PodCIDR)
}

// workload is pods that can live anywhere.
const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: workload}
spec:
  replicas: 4
  selector: {matchLabels: {app: workload}}
  template:
    metadata: {labels: {app: workload}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: workload, image: "` + podImage + `", imagePullPolicy: Never}
`

// nodeDrained: pods move away from a node and are reached where they are. The
// node stays in the network.
func nodeDrained(t *testing.T, c *cluster) {
	c.apply(workload)
	c.kubectl("rollout", "status", "deployment/workload", "--timeout=60s")
	n := c.nodes[1]
	before, err := n.lease(t)
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl("drain", n.NodeName, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s")
	c.kubectl("rollout", "status", "deployment/workload", "--timeout=60s")
	pods := c.probes(t)
	var moved list
	if err := c.get(&moved, "pods", "-l", "app=workload"); err != nil {
		t.Fatal(err)
	}
	reached := 0
	for _, o := range moved.Items {
		if !o.ready() {
			continue
		}
		if o.Spec.NodeName == n.NodeName {
			t.Errorf("%s is still on %s", o.Metadata.Name, n.NodeName)
		}
		for _, from := range pods { // the drained node's DaemonSets stay
			from.Reachable(t, o.addr(t), 10*time.Second)
		}
		reached++
	}
	if reached != 4 {
		t.Errorf("%d pods of 4", reached)
	}
	c.kubectl("uncordon", n.NodeName)
	if after, err := n.lease(t); err != nil || after != before {
		t.Errorf("%s had %s and has %s (%v)", n.NodeName, before, after, err)
	}
	c.kubectl("delete", "deployment/workload", "--wait=false")
}

// status is what the node's flanneld says.
func (n *node) status(t *testing.T) (s lab.Status, err error) {
	return s, n.json(t, &s, "status", "--exit-zero")
}

// json runs a command of flanneld on the node and decodes what it prints.
func (n *node) json(t *testing.T, into any, args ...string) error {
	r := n.flanneld(t, append(args, "-o", "json")...)
	if r.Status != 0 {
		return fmt.Errorf("%s: flanneld %s: %s", n.NodeName, args[0], r.Stderr)
	}
	return json.Unmarshal([]byte(r.Stdout), into)
}
