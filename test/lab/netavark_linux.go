// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// netavark makes podman's networks. That of Debian 12 knows iptables only, so
// that the one of the testing suite is fetched, with the C library that it is
// built for.
const (
	netavarkFolder = "FLANNELD_LAB_NETAVARK"
	netavarkError  = "FLANNELD_LAB_NETAVARK_ERROR"
)

// FetchNetavark gets netavark unless it is there, and returns the variables
// that describe it to the inner run. A failure is no error here, but for the
// tests that need it.
func FetchNetavark() ([]string, error) {
	return fetchKept("netavark-testing", netavarkFolder, netavarkError, fetchNetavarkInto)
}

// fetchNetavarkInto makes dir afresh: netavark, and libraries in lib.
func fetchNetavarkInto(dir string) error {
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := unpackPackages(work, "netavark", "libc6", "libgcc-s1"); err != nil {
		return err
	}
	made := filepath.Join(work, "made")
	if err := errors.Join(os.MkdirAll(filepath.Join(made, "lib"), 0o755), os.Chmod(work, 0o755)); err != nil {
		return err
	}
	files := map[string]string{"root/usr/lib/podman/netavark": "netavark"}
	for _, pattern := range []string{"ld-linux*.so.*", "libc.so.6", "libm.so.6", "libgcc_s.so.1"} {
		found, _ := filepath.Glob(filepath.Join(work, "root/usr/lib/*-linux-gnu", pattern))
		for _, path := range found {
			rest, _ := filepath.Rel(work, path)
			files[rest] = filepath.Join("lib", filepath.Base(path))
		}
	}
	for from, to := range files {
		if err := copyFile(filepath.Join(work, from), filepath.Join(made, to)); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(dir), os.Rename(made, dir))
}

// Netavark attaches a new container to the host's bridge podman1, which has the
// lease, as podman does. netavark masquerades by nf_tables.
func (h *Host) Netavark() *Pod {
	h.lab.t.Helper()
	t := h.lab.t
	folder := os.Getenv(netavarkFolder)
	if folder == "" {
		t.Fatalf("netavark of Debian's testing suite is not available: %s", os.Getenv(netavarkError))
	}
	loaders, _ := filepath.Glob(filepath.Join(folder, "lib/ld-linux*.so.*"))
	if len(loaders) != 1 {
		t.Fatalf("netavark has no C library of its own: %q", loaders)
	}
	h.attached++
	lease := h.Lease()
	gateway := lease.Addr().Next()
	p := &Pod{Host: h, Addr: gateway}
	for range h.attached {
		p.Addr = p.Addr.Next()
	}
	name := fmt.Sprintf("podman%d.%d", h.Number, h.attached)
	p.Namespace = NewNamespace(t, h.lab.name(name))
	request, err := json.Marshal(map[string]any{
		"container_id": strings.Repeat(fmt.Sprintf("%02x", h.attached), 32), "container_name": name,
		"networks": map[string]any{"lease": map[string]any{"static_ips": []netip.Addr{p.Addr}, "interface_name": "eth0"}},
		"network_info": map[string]any{"lease": map[string]any{
			"name": "lease", "id": strings.Repeat("5a", 32), "driver": "bridge", "network_interface": "podman1",
			"subnets":      []map[string]any{{"subnet": lease, "gateway": gateway}},
			"ipv6_enabled": false, "internal": false, "dns_enabled": false,
			"ipam_options": map[string]string{"driver": "host-local"}, "options": map[string]string{"mtu": h.SubnetFile()["FLANNEL_MTU"]},
		}},
	})
	if err != nil {
		t.Fatalf("describe a container to netavark: %v", err)
	}
	state := filepath.Join(h.lab.dir, h.NodeName, "netavark")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatalf("make netavark's folder: %v", err)
	}
	cmd := exec.Command(loaders[0], "--library-path", filepath.Join(folder, "lib"), filepath.Join(folder, "netavark"),
		"--config", state, "setup", p.Path())
	cmd.Env = append(os.Environ(), "NETAVARK_FW=nftables")
	cmd.Stdin = strings.NewReader(string(request))
	if r := h.RunCommand(t, cmd); r.Status != 0 {
		t.Fatalf("%s: netavark setup: exit status %d: %s%s", h.NodeName, r.Status, r.Stdout, r.Stderr)
	}
	p.Reachable(t, gateway, 10*time.Second)
	return p
}
