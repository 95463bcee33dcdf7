// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// node is a machine with containerd, a kubelet and kube-proxy.
type node struct {
	*lab.Machine
	c        *cluster
	dir      string // for files and logs that are not the machine's
	services []*process
}

// nodeSettings are written to the machine's disk at each boot, as an operator
// or a system image has them. Paths are the usual ones.
func (n *node) nodeSettings() map[string]string {
	type object = map[string]any
	kubelet := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication":           object{"anonymous": object{"enabled": true}, "webhook": object{"enabled": false}},
		"authorization":            object{"mode": "AlwaysAllow"},
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"cgroupDriver":             "cgroupfs", "cgroupsPerQOS": false,
		"enforceNodeAllocatable": []string{}, "localStorageCapacityIsolation": false,
		"failCgroupV1": false, "failSwapOn": false, "registerNode": true,
		"nodeStatusUpdateFrequency": "4s", "nodeLeaseDurationSeconds": 20, "syncFrequency": "5s",
		"imageMinimumGCAge": "24h", "evictionHard": object{"memory.available": "50Mi"},
		"shutdownGracePeriod": "0s",
	}
	proxy := object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection": object{"kubeconfig": n.c.path("proxy.conf")},
		"mode":             "iptables", "clusterCIDR": podNetwork, "hostnameOverride": n.NodeName, "nodePortAddresses": []string{},
		"conntrack": object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
	text := func(o object) string { data, _ := json.Marshal(o); return string(data) }
	return map[string]string{
		"/etc/containerd/config.toml": fmt.Sprintf(`version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
`, pauseImage),
		"/etc/kubernetes/kubelet.json": text(kubelet),
		"/etc/kubernetes/proxy.json":   text(proxy),
		"/etc/kubernetes/kubelet.conf": string(n.c.kubeconfig(n.NodeName + "-token")),
	}
}

// kernelSettings are what kubelet would set for the whole machine. It reads
// these files instead, and finds nothing to change.
var kernelSettings = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// boot writes the settings and starts the services, kubelet last. The machine
// has been switched on.
func (n *node) boot(t *testing.T) {
	t.Helper()
	n.prepare(t)
	n.services = nil
	n.service(t, "containerd", "containerd")
	lab.Eventually(t, 30*time.Second, "containerd of "+n.NodeName, func() error {
		r := n.Run(t, "ctr", "version")
		return lab.Expect(r.Status == 0, "%s", r.Stderr)
	})
	for _, archive := range n.c.images {
		n.Exec(t, "ctr", "-n", "k8s.io", "images", "import", "--snapshotter", "native", archive)
	}
	n.service(t, "kube-proxy", program("kube-proxy"), "--config=/etc/kubernetes/proxy.json")
	n.service(t, "kubelet", program("kubelet"), "--config=/etc/kubernetes/kubelet.json", "--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--hostname-override="+n.NodeName, "--node-ip="+n.Addr.String())
}

// prepare makes the disk what the machine's image would have.
func (n *node) prepare(t *testing.T) {
	t.Helper()
	for path, text := range n.nodeSettings() {
		n.write(t, path, text)
	}
	for name, value := range kernelSettings {
		stand := filepath.Join("/run/kernel", name)
		n.write(t, stand, value+"\n")
		n.Exec(t, "mount", "--bind", stand, filepath.Join("/proc/sys", name))
	}
	// The directory of Debian's plugins is not where Kubernetes looks for them.
	n.Exec(t, "sh", "-ec", "mkdir -p /opt/cni/bin /etc/cni/net.d && cp /usr/lib/cni/* /opt/cni/bin/")
	// Replies of pods on one bridge have to pass the firewall, or Services that
	// lead back to the same node do not work.
	n.Exec(t, "sh", "-c", "test -e /proc/sys/net/bridge/bridge-nf-call-iptables || exit 0; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables")
	n.Sysctl(t, "net.ipv4.ip_forward", "1")
}

func (n *node) write(t *testing.T, path, text string) {
	t.Helper()
	here := n.Path(path)
	if err := os.MkdirAll(filepath.Dir(here), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(here, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// service starts a daemon, which lives as long as the cluster.
func (n *node) service(t *testing.T, name string, command ...string) {
	t.Helper()
	p := launch(n.c.t, n.dir, name+" of "+n.NodeName, n.Machine.Start, exec.Command(command[0], command[1:]...))
	n.services = append(n.services, p)
}

// powerOff is a power cut. The device at the switch goes down, too.
func (n *node) powerOff(t *testing.T) {
	t.Helper()
	n.c.lab.Cut(n.Host)
	n.PowerOff()
	for _, p := range n.services {
		<-p.ended
	}
	// The network devices are the kernel's, and the namespace outlives it.
	n.forgetDevices(t)
}

// forgetDevices removes what a boot finds gone: all devices but the network
// card, and all rules.
func (n *node) forgetDevices(t *testing.T) {
	t.Helper()
	n.Namespace.Exec(t, "nft", "flush", "ruleset")
	for line := range strings.Lines(n.Namespace.Exec(t, "ip", "-o", "link", "show")) {
		name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
		if name = strings.TrimSuffix(name, ":"); name != "lo" && name != "eth0" {
			n.Namespace.Run(t, "ip", "link", "delete", name)
		}
	}
}

// powerOn boots the machine again.
func (n *node) powerOn(t *testing.T) {
	t.Helper()
	n.c.lab.Heal(n.Host)
	n.PowerOn()
	n.boot(t)
}

// flanneld runs a flanneld command on the node.
func (n *node) flanneld(t *testing.T, args ...string) lab.Result {
	t.Helper()
	return n.Run(t, n.c.lab.Binary, args...)
}

// has reports whether the address is one of the node's own.
func (n *node) has(t *testing.T, a netip.Addr) bool {
	t.Helper()
	return strings.Contains(n.Namespace.Exec(t, "ip", "-o", "address", "show"), " "+a.String()+"/")
}
