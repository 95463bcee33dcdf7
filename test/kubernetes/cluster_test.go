// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// cluster is a control plane with its nodes.
type cluster struct {
	*control
	lab    *lab.Lab
	nodes  []*node
	images []string // archives for containerd
}

// startCluster makes a cluster of n nodes in which flanneld runs, and waits
// until all nodes are ready.
func startCluster(t *testing.T, n int) *cluster {
	t.Helper()
	start := time.Now()
	l := lab.New(t)
	c := &cluster{control: startControl(t, l), lab: l}
	t.Logf("API server ready after %v", time.Since(start).Round(100*time.Millisecond))
	c.images = makeImages(t, c.dir, l.Binary)
	c.startControllers()
	c.applyManifest(t)
	for range n {
		c.addNode(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("---- log of flanneld of %s\n%s", n.NodeName, n.flanneldLog())
			}
		}
	})
	c.waitReady(t, 120*time.Second)
	t.Logf("%d nodes ready after %v", n, time.Since(start).Round(100*time.Millisecond))
	return c
}

// addNode makes a machine and starts a node on it.
func (c *cluster) addNode(t *testing.T) *node {
	t.Helper()
	h := c.lab.Host()
	n := &node{Machine: h.Machine(), c: c, dir: filepath.Join(c.lab.Dir(), "logs")}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.nodes = append(c.nodes, n)
	n.boot(t)
	return n
}

// object is what the tests read of any object of the API.
type object struct {
	Metadata struct {
		Name, Namespace, UID string
		Labels               map[string]string
		DeletionTimestamp    string
	}
	Spec struct {
		NodeName, PodCIDR, HolderIdentity, ClusterIP string
		Unschedulable                                bool
	}
	Status struct {
		Phase, PodIP, HostIP string
		Conditions           []struct{ Type, Status, Reason, Message string }
		ContainerStatuses    []struct {
			Ready        bool
			RestartCount int
		}
	}
}

type list struct{ Items []object }

// condition returns the status of a condition: True, False, Unknown, or "".
func (o object) condition(kind string) (status, why string) {
	for _, c := range o.Status.Conditions {
		if c.Type == kind {
			return c.Status, c.Reason + ": " + c.Message
		}
	}
	return "", "no such condition"
}

// ready reports whether all containers of a pod are ready and it is to stay.
func (o object) ready() bool {
	status, _ := o.condition("Ready")
	return status == "True" && o.Metadata.DeletionTimestamp == ""
}

// waitReady waits until all nodes are Ready, and flanneld on each.
func (c *cluster) waitReady(t *testing.T, limit time.Duration) {
	t.Helper()
	lab.Eventually(t, limit, "all nodes ready", func() error {
		for _, n := range c.nodes {
			if err := n.ready(); err != nil {
				return err
			}
		}
		return nil
	})
}

// ready is nil when the API server has the node as Ready, and its flanneld.
func (n *node) ready() error {
	for _, p := range n.services {
		if err := p.running(); err != nil {
			return err
		}
	}
	if status, why, err := n.condition("Ready"); err != nil || status != "True" {
		return fmt.Errorf("%s: Ready is %q: %s (%v)", n.NodeName, status, why, err)
	}
	pod, err := n.pod(flanneldNamespace, flanneldLabel)
	if err != nil {
		return err
	}
	return lab.Expect(pod.ready(), "%s: pod %s is not ready: %+v", n.NodeName, pod.Metadata.Name, pod.Status)
}

// condition is what the API server says of the node.
func (n *node) condition(kind string) (status, why string, err error) {
	var o object
	if err := n.c.get(&o, "node", n.NodeName); err != nil {
		return "", "", err
	}
	status, why = o.condition(kind)
	return status, why, nil
}

// pod returns the pod with the label that the node has.
func (n *node) pod(namespace, label string) (object, error) {
	var pods list
	if err := n.c.get(&pods, "pods", "-n", namespace, "-l", label, "--field-selector", "spec.nodeName="+n.NodeName); err != nil {
		return object{}, err
	}
	for _, pod := range pods.Items {
		if pod.Metadata.DeletionTimestamp == "" {
			return pod, nil
		}
	}
	return object{}, fmt.Errorf("%s: no pod %s", n.NodeName, label)
}

// pod is a pod of the tests: the lab can send from it and listen in it.
type pod struct {
	*lab.Namespace
	name string
	addr netip.Addr
	node *node
}

// open finds the pod's namespace on its node.
func (n *node) open(t *testing.T, o object) *pod {
	t.Helper()
	filter := fmt.Sprintf(`labels."io.kubernetes.pod.name"==%s,labels."io.cri-containerd.kind"==sandbox`, o.Metadata.Name)
	var path string
	lab.Eventually(t, 10*time.Second, "the namespace of "+o.Metadata.Name, func() error {
		running := strings.Fields(n.Exec(t, "ctr", "-n", "k8s.io", "tasks", "list", "-q"))
		for _, id := range strings.Fields(n.Exec(t, "ctr", "-n", "k8s.io", "containers", "list", "-q", filter)) {
			if slices.Contains(running, id) { // others are from before a power cut
				path = networkNamespace(n.Exec(t, "ctr", "-n", "k8s.io", "containers", "info", id))
			}
		}
		return lab.Expect(path != "", "no sandbox runs")
	})
	ns := lab.OpenNamespace(t, fmt.Sprintf("%s-%s", n.NodeName, o.Metadata.Name), n.Path(strings.TrimPrefix(path, "/var")))
	return &pod{Namespace: ns, name: o.Metadata.Name, addr: o.addr(t), node: n}
}

// networkNamespace finds its path in what `ctr containers info` prints.
func networkNamespace(info string) string {
	var container struct {
		Spec struct {
			Linux struct {
				Namespaces []struct{ Type, Path string }
			}
		}
	}
	if err := json.Unmarshal([]byte(info), &container); err != nil {
		return ""
	}
	for _, ns := range container.Spec.Linux.Namespaces {
		if ns.Type == "network" {
			return ns.Path
		}
	}
	return ""
}

// probes are pods of a DaemonSet that sleep, one a node.
const probes = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe}
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: probe, image: "` + podImage + `", imagePullPolicy: Never}
`

// probes starts the probe on each node and returns the pods in the nodes'
// order.
func (c *cluster) probes(t *testing.T) (pods []*pod) {
	t.Helper()
	c.apply(probes)
	for _, n := range c.nodes {
		pods = append(pods, n.probe(t))
	}
	return pods
}

// probe waits for the node's probe.
func (n *node) probe(t *testing.T) *pod {
	t.Helper()
	return n.waitPod(t, "app=probe")
}

// waitPod waits for a pod with the label on the node.
func (n *node) waitPod(t *testing.T, label string) *pod {
	t.Helper()
	var found object
	lab.Eventually(t, 60*time.Second, "a pod with "+label+" on "+n.NodeName, func() (err error) {
		found, err = n.pod("default", label)
		if err != nil {
			return err
		}
		return lab.Expect(found.ready(), "%+v", found.Status)
	})
	return n.open(t, found)
}

// addr is the pod's address.
func (o object) addr(t *testing.T) netip.Addr {
	t.Helper()
	address, err := netip.ParseAddr(o.Status.PodIP)
	if err != nil {
		t.Fatalf("pod %s: %v", o.Metadata.Name, err)
	}
	return address
}

// flanneldLog is the end of what flanneld of the node has written.
func (n *node) flanneldLog() string {
	pod, err := n.pod(flanneldNamespace, flanneldLabel)
	if err != nil {
		return err.Error()
	}
	out, err := n.c.tryKubectl("", "logs", "-n", flanneldNamespace, pod.Metadata.Name, "--tail=30")
	if err != nil {
		return err.Error()
	}
	return out
}
