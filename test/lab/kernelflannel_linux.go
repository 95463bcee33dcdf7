// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// KernelFlannel is a host that runs flannel with one of its kernel backends,
// "vxlan", "host-gw" or "ipip". flannel itself only watches etcd: it makes
// devices, neighbors and routes, and leaves them there when it ends. So here
// they are made by hand, in the order and with the values of flannel.
type KernelFlannel struct {
	host    *Host
	backend string
}

// StartKernelFlannel makes the host one that flannel has given the lease. mac
// is of its VXLAN device; "": the kernel makes one up, as flannel does.
func (h *Host) StartKernelFlannel(backend string, lease netip.Prefix, mac string) *KernelFlannel {
	h.lab.t.Helper()
	t, mtu := h.lab.t, 1500
	h.Sysctl(t, "net.ipv4.ip_forward", "1")
	switch backend {
	case "ipip":
		mtu = 1480
		h.Exec(t, "ip", "link", "add", "flannel.ipip", "mtu", fmt.Sprint(mtu), "type", "ipip", "local", h.Addr.String(), "nopmtudisc")
		h.Exec(t, "ip", "address", "add", lease.Addr().String()+"/32", "dev", "flannel.ipip")
		h.Exec(t, "ip", "link", "set", "flannel.ipip", "up")
	case "vxlan":
		mtu = 1450
		args := []string{"link", "add", "flannel.1"}
		if mac != "" {
			args = append(args, "address", mac)
		}
		h.Exec(t, "ip", append(args, "mtu", fmt.Sprint(mtu), "type", "vxlan", "id", "1", "dev", "eth0",
			"local", h.Addr.String(), "dstport", "8472", "nolearning")...)
		h.Exec(t, "ip", "address", "add", lease.Addr().String()+"/32", "dev", "flannel.1")
		h.Exec(t, "ip", "link", "set", "flannel.1", "up")
	}
	file := fmt.Sprintf("FLANNEL_NETWORK=%s\nFLANNEL_SUBNET=%s/%d\nFLANNEL_MTU=%d\nFLANNEL_IPMASQ=false\n",
		Overlay, lease.Addr().Next(), lease.Bits(), mtu)
	if err := os.WriteFile(filepath.Join(h.RunDir, "subnet.env"), []byte(file), 0o644); err != nil {
		t.Fatalf("%s: %v", h.NodeName, err)
	}
	return &KernelFlannel{host: h, backend: backend}
}

// Learn does what flannel does when etcd tells it of a lease, new or changed.
// mac is of the holder's VXLAN device.
func (f *KernelFlannel) Learn(lease netip.Prefix, holder netip.Addr, mac string) {
	h, t := f.host, f.host.lab.t
	t.Helper()
	switch f.backend {
	case "host-gw":
		h.Exec(t, "ip", "route", "replace", lease.String(), "via", holder.String(), "dev", "eth0")
		return
	case "ipip":
		h.Exec(t, "ip", "route", "replace", lease.String(), "via", holder.String(), "dev", "flannel.ipip", "onlink")
		return
	}
	first := lease.Addr().String()
	h.Exec(t, "ip", "neigh", "replace", first, "lladdr", mac, "dev", "flannel.1", "nud", "permanent")
	h.Exec(t, "bridge", "fdb", "replace", mac, "dev", "flannel.1", "dst", holder.String(), "self", "permanent")
	h.Exec(t, "ip", "route", "replace", lease.String(), "via", first, "dev", "flannel.1", "onlink")
}
