// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"flanneld/test/lab"
)

// flannel is flannel with its udp backend, and an etcd where the underlay's
// gateway is. Its program is looked for under the name flannel, because
// upstream's own, flanneld, may be this project's.
func flannel(p *lab.Program, hosts pair, s subject) *path {
	program, etcd, etcdctl := find(p, "flannel"), find(p, "etcd"), find(p, "etcdctl")
	store := fmt.Sprintf("http://%s:2379", lab.Gateway)
	start(p, hosts.lab.Switch, etcd, "--data-dir", filepath.Join(hosts.lab.Dir(), "etcd"), "--listen-client-urls", store,
		"--advertise-client-urls", store, "--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "error")
	lab.Eventually(p, 10*time.Second, "etcd to take flannel's configuration", func() error {
		put := exec.Command(etcdctl, "--endpoints", store, "put", "/coreos.com/network/config", `{"Network": "10.206.0.0/16", "Backend": {"Type": "udp"}}`)
		put.Env = append(put.Environ(), "ETCDCTL_API=3")
		var out bytes.Buffer
		put.Stderr = &out
		if err := hosts.lab.Switch.Start(put); err != nil {
			return err
		}
		if err := put.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, out.String())
		}
		return nil
	})
	built := &path{subject: s}
	for _, h := range hosts.both() {
		built.processes = append(built.processes, start(p, h.Namespace, program, "-etcd-endpoints", store, "-iface", "eth0",
			"-subnet-file", filepath.Join(h.RunDir, "subnet.env"), "-iptables-forward-rules=false", "-healthz-port", "0"))
		h.Sysctl(p, "net.ipv4.ip_forward", "1")
	}
	for _, h := range hosts.both() {
		lab.Eventually(p, 20*time.Second, "flannel to write subnet.env", func() error {
			return lab.Expect(h.SubnetFile() != nil, "it does not exist")
		})
	}
	built.from, built.to = hosts.h1.Pod(), hosts.h2.Pod()
	return built
}
