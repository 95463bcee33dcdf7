// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// DebianCNI is where Debian's package containernetworking-plugins has its
// programs.
const DebianCNI = "/usr/lib/cni"

// CNI attaches containers on a host as a container runtime does, with the
// library that most of them use.
type CNI struct {
	host    *Host
	dir     string
	list    *libcni.NetworkConfigList
	library *libcni.CNIConfig
}

// CNI reads a network configuration list. Its plugins are looked for in a
// folder where the flanneld under test is flanneld-cni and flannel, and then in
// the folders given. All files of the plugins are the host's own.
func (h *Host) CNI(list string, folders ...string) *CNI {
	h.lab.t.Helper()
	c := &CNI{host: h, dir: filepath.Join(h.lab.dir, h.NodeName, "cni")}
	c.Folders(append([]string{h.PluginFolder()}, folders...)...)
	c.Configure(list)
	return c
}

// Folders are where plugins are looked for from now on.
func (c *CNI) Folders(folders ...string) {
	c.library = libcni.NewCNIConfigWithCacheDir(folders, filepath.Join(c.dir, "cache"), nil)
}

// PluginFolder is a folder with the flanneld under test as CNI plugin.
func (h *Host) PluginFolder() string {
	h.lab.t.Helper()
	bin := filepath.Join(h.lab.dir, "cni-bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		h.lab.t.Fatalf("make the folder of plugins: %v", err)
	}
	for _, name := range []string{"flanneld-cni", "flannel"} {
		if err := os.Symlink(h.lab.Binary, filepath.Join(bin, name)); err != nil && !os.IsExist(err) {
			h.lab.t.Fatalf("link the plugin: %v", err)
		}
	}
	return bin
}

// Configure replaces the network configuration list.
func (c *CNI) Configure(list string) {
	c.host.lab.t.Helper()
	text := c.host.NetworkList(list)
	parsed, err := libcni.ConfListFromBytes([]byte(text))
	if err != nil {
		c.host.lab.t.Fatalf("read network configuration: %v\n%s", err, text)
	}
	c.list = parsed
}

// NetworkList returns a network configuration list in which the files that
// flanneld-cni and host-local read and write are the host's own, unless the
// list names them.
func (h *Host) NetworkList(list string) string {
	h.lab.t.Helper()
	var parsed map[string]any
	if err := json.Unmarshal([]byte(list), &parsed); err != nil {
		h.lab.t.Fatalf("read network configuration: %v\n%s", err, list)
	}
	plugins, _ := parsed["plugins"].([]any)
	for _, p := range plugins {
		plugin, _ := p.(map[string]any)
		ipam, hasIPAM := plugin["ipam"].(map[string]any)
		switch plugin["type"] {
		case "flanneld-cni", "flannel":
			setIfAbsent(plugin, "subnetFile", filepath.Join(h.RunDir, "subnet.env"))
			setIfAbsent(plugin, "dataDir", h.CNIFile("data"))
			if !hasIPAM {
				ipam = map[string]any{}
				plugin["ipam"] = ipam
			}
		}
		if ipam != nil {
			setIfAbsent(ipam, "dataDir", h.CNIFile("networks"))
		}
	}
	text, err := json.MarshalIndent(parsed, "", "  ")
	if err != nil {
		h.lab.t.Fatalf("write network configuration: %v", err)
	}
	return string(text)
}

func setIfAbsent(m map[string]any, key string, value any) {
	if _, there := m[key]; !there {
		m[key] = value
	}
}

// CNIFile is where the host's CNI plugins have a file or folder: data, with
// what flanneld-cni keeps, or networks, with host-local's reservations.
func (h *Host) CNIFile(name string) string { return filepath.Join(h.lab.dir, h.NodeName, "cni", name) }

// runtimeConf describes a container to the library.
func (c *CNI) runtimeConf(id, netns string, capabilities map[string]any) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: id, NetNS: netns, IfName: "eth0", CapabilityArgs: capabilities}
}

// TryAdd attaches a namespace. It returns the address of eth0.
func (c *CNI) TryAdd(id, netns string, capabilities map[string]any) (address netip.Addr, err error) {
	err = c.host.Do(func() error {
		result, err := c.library.AddNetworkList(context.Background(), c.list, c.runtimeConf(id, netns, capabilities))
		if err != nil {
			return err
		}
		full, err := types100.NewResultFromResult(result)
		if err != nil || len(full.IPs) == 0 {
			return fmt.Errorf("no address in the result: %w", err)
		}
		address, _ = netip.AddrFromSlice(full.IPs[0].Address.IP)
		address = address.Unmap()
		return nil
	})
	return address, err
}

// Add attaches a new container. A port of the host can be mapped to each port
// of the container.
func (c *CNI) Add(ports map[int]int) *Pod {
	t := c.host.lab.t
	t.Helper()
	c.host.attached++
	name := c.host.lab.name(fmt.Sprintf("cni%d.%d", c.host.Number, c.host.attached))
	p := &Pod{Namespace: NewNamespace(t, name), Host: c.host}
	var mappings []map[string]any
	for outer, inner := range ports {
		mappings = append(mappings, map[string]any{"hostPort": outer, "containerPort": inner, "protocol": "tcp"})
	}
	var err error
	if p.Addr, err = c.TryAdd(name, p.Path(), map[string]any{"portMappings": mappings}); err != nil {
		t.Fatalf("%s: CNI ADD: %v", c.host.NodeName, err)
	}
	return p
}

// Delete detaches a container.
func (c *CNI) Delete(p *Pod) error {
	return c.host.Do(func() error {
		return c.library.DelNetworkList(context.Background(), c.list, c.runtimeConf(p.Name, p.Path(), nil))
	})
}

// Check checks a container's attachment.
func (c *CNI) Check(p *Pod) error {
	return c.host.Do(func() error {
		return c.library.CheckNetworkList(context.Background(), c.list, c.runtimeConf(p.Name, p.Path(), nil))
	})
}

// Status asks the plugins whether containers can be added.
func (c *CNI) Status() error {
	return c.host.Do(func() error { return c.library.GetStatusNetworkList(context.Background(), c.list) })
}

// Collect has the plugins free what does not belong to one of the containers.
func (c *CNI) Collect(valid ...*Pod) error {
	args := &libcni.GCArgs{}
	for _, p := range valid {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: p.Name, IfName: "eth0"})
	}
	return c.host.Do(func() error { return c.library.GCNetworkList(context.Background(), c.list, args) })
}

// Forget removes what the library remembers of all containers, as a runtime
// does that loses its own state.
func (c *CNI) Forget() {
	if err := os.RemoveAll(filepath.Join(c.dir, "cache")); err != nil {
		c.host.lab.t.Fatalf("forget containers: %v", err)
	}
}

// Reserved are the addresses that host-local holds for a network.
func (c *CNI) Reserved() (all []netip.Addr) {
	entries, _ := os.ReadDir(filepath.Join(c.host.CNIFile("networks"), c.list.Name))
	for _, entry := range entries {
		if a, err := netip.ParseAddr(entry.Name()); err == nil {
			all = append(all, a)
		}
	}
	return all
}
