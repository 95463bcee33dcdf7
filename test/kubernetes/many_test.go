// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// tenNodes is how many nodes start at once.
const tenNodes = 10

// TestTenNodesFoundOneNetwork: ten nodes are started at once. Within 10 s they
// are ready in one network, which one of them has founded. Nodes run flanneld
// and nothing else.
func TestTenNodesFoundOneNetwork(t *testing.T) {
	t.Run("ServerIsThere", func(t *testing.T) { tenNodesFoundOneNetwork(t, false) })
	t.Run("ServerComesLater", func(t *testing.T) { tenNodesFoundOneNetwork(t, true) })
}

// tenNodesFoundOneNetwork measures from when all are started, or if the API
// server is away then, from when it is ready.
func tenNodesFoundOneNetwork(t *testing.T, away bool) {
	l := lab.New(t)
	c := startControl(t, l)
	key := filepath.Join(l.Dir(), "key")
	if err := os.WriteFile(key, []byte(c.applyManifest(t)), 0o400); err != nil {
		t.Fatal(err)
	}
	hosts := make([]*lab.Host, tenNodes)
	for i := range hosts {
		hosts[i] = l.Host()
		c.register(t, hosts[i], nthSubnet(i))
	}
	c.mountServiceAccount(t)
	as := c.container(t)
	back := func() {}
	if away {
		back = c.away()
	}
	daemons := make([]*lab.Daemon, tenNodes)
	for i, h := range hosts {
		daemons[i] = c.startLike(as, h, key)
	}
	if away {
		time.Sleep(3 * time.Second) // all have asked in vain
	}
	back()
	start := time.Now()
	for _, d := range daemons {
		d.WaitReady(30 * time.Second)
	}
	took := time.Since(start)
	t.Logf("%d nodes ready after %v", tenNodes, took.Round(10*time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("%v is more than 10 s", took)
	}
	l.WaitConverged(tenNodes)
	c.oneNetwork(t, hosts)
}

// nthSubnet is the podCIDR of a node, counted from 0.
func nthSubnet(i int) string { return fmt.Sprintf("10.244.%d.0/24", i) }

// oneNetwork fails the test unless all are in one network, which the Lease
// names, each with its podCIDR, and the cluster has been told.
func (c *control) oneNetwork(t *testing.T, hosts []*lab.Host) {
	t.Helper()
	networks := map[string][]string{}
	for i, h := range hosts {
		s := h.Status()
		networks[s.Network.ID] = append(networks[s.Network.ID], h.NodeName)
		if s.Lease.Subnet != nthSubnet(i) {
			t.Errorf("%s holds %s, and its podCIDR is %s", h.NodeName, s.Lease.Subnet, nthSubnet(i))
		}
	}
	if len(networks) != 1 {
		t.Errorf("%d networks: %v", len(networks), networks)
	}
	var leases list
	if err := c.get(&leases, "leases", "-n", flanneldNamespace); err != nil {
		t.Fatal(err)
	}
	if len(leases.Items) != 1 || leases.Items[0].Spec.HolderIdentity == "" {
		t.Errorf("leases: %+v", leases.Items)
	}
	for _, h := range hosts {
		lab.Eventually(t, 10*time.Second, "the condition of "+h.NodeName, func() error {
			var o object
			if err := c.get(&o, "node", h.NodeName); err != nil {
				return err
			}
			status, why := o.condition("NetworkUnavailable")
			return lab.Expect(status == "False", "%q: %s", status, why)
		})
	}
}

// register makes the node's object, as kubelet and the controller manager do.
func (c *control) register(t *testing.T, h *lab.Host, podCIDR string) {
	t.Helper()
	c.apply(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": %q}, "spec": {"podCIDR": %q, "podCIDRs": [%q]}}`, h.NodeName, podCIDR, podCIDR))
	c.kubectl("patch", "node", h.NodeName, "--subresource=status", "--type=merge", "-p",
		fmt.Sprintf(`{"status": {"addresses": [{"type": "InternalIP", "address": %q}]}}`, h.Addr))
}

// serviceAccount is where a pod finds the token and the certificate of its
// service account.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// mountServiceAccount gets a token for flanneld's service account from the API
// server, and puts it where kubelet would. /run is the lab's own.
func (c *control) mountServiceAccount(t *testing.T) {
	t.Helper()
	token := c.kubectl("create", "token", "-n", flanneldNamespace, flanneldAccount)
	certificate, err := os.ReadFile(c.path("certificates/apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(serviceAccount, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"token": token, "ca.crt": string(certificate), "namespace": flanneldNamespace} {
		if err := os.WriteFile(filepath.Join(serviceAccount, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startLike starts flanneld on a host with the arguments and variables of the
// DaemonSet's container. Directories and the key are the lab's.
func (c *control) startLike(as container, h *lab.Host, key string) *lab.Daemon {
	c.t.Helper()
	env := map[string]string{"KUBERNETES_SERVICE_HOST": c.host.Addr.String(), "KUBERNETES_SERVICE_PORT": fmt.Sprint(apiPort)}
	for _, v := range as.Env {
		env[v.Name] = v.Value
		switch v.ValueFrom.FieldRef.FieldPath {
		case "spec.nodeName":
			env[v.Name] = h.NodeName
		case "metadata.namespace":
			env[v.Name] = flanneldNamespace
		case "status.hostIP":
			env[v.Name] = h.Addr.String()
		}
	}
	env["FLANNELD_KEY_FILE"] = key
	args := append([]string(nil), as.Args...)
	for i := range args {
		for name, value := range env {
			args[i] = strings.ReplaceAll(args[i], "$("+name+")", value)
		}
	}
	args = append(args, "--state-dir="+h.StateDir, "--run-dir="+h.RunDir) // the last one counts
	cmd := h.Command(args...)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return h.StartCommand(cmd)
}

type container struct {
	Name string
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   struct{ FieldRef struct{ FieldPath string } }
	}
}

// container is that of flanneld, as the API server has it.
func (c *control) container(t *testing.T) container {
	t.Helper()
	var set struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []container }
			}
		}
	}
	if err := json.Unmarshal([]byte(c.kubectl("get", "-o", "json", "-n", flanneldNamespace, flanneldSet)), &set); err != nil {
		t.Fatal(err)
	}
	for _, found := range set.Spec.Template.Spec.Containers {
		if found.Name == "flanneld" {
			return found
		}
	}
	t.Fatalf("%s has no container flanneld", flanneldSet)
	return container{}
}
