// SPDX-License-Identifier: Apache-2.0

// Package podman writes the file by which podman knows a network over this
// host's lease. It is the format of netavark, podman's network stack from
// version 4 on: podman reads NAME.json in /etc/containers/networks.
package podman

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"flanneld/internal/host/envfile"
)

// Directory is where podman looks for networks of root.
const Directory = "/etc/containers/networks"

// DefaultName is the network's name unless the user gives another one.
const DefaultName = "flanneld"

// maxName keeps the bridge's name within the kernel's 15 bytes.
const maxName = 15 - len("br-")

// network has the fields of containers-common's types.Network that matter.
type network struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Driver    string            `json:"driver"`
	Interface string            `json:"network_interface"`
	Created   time.Time         `json:"created"`
	Subnets   []subnet          `json:"subnets"`
	IPv6      bool              `json:"ipv6_enabled"`
	Internal  bool              `json:"internal"`
	DNS       bool              `json:"dns_enabled"`
	Options   map[string]string `json:"options"`
	IPAM      map[string]string `json:"ipam_options"`
}

type subnet struct {
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"`
}

// CheckName reports what is wrong with a network's name. Podman refuses names
// outside of [a-zA-Z0-9][a-zA-Z0-9_.-]*; the bridge is named after it.
func CheckName(name string) error {
	if name == "" {
		return errors.New("a network needs a name")
	}
	if len(name) > maxName {
		return fmt.Errorf("network name %q is longer than %d bytes: its bridge is called br-NAME", name, maxName)
	}
	if name == "podman" {
		return errors.New("podman is the name of podman's own network: choose another one, or set default_subnet in containers.conf")
	}
	for i, b := range []byte(name) {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !letter && (i == 0 || b != '_' && b != '.' && b != '-') {
			return fmt.Errorf("network name %q: only letters, digits, and after the first one also . _ - are allowed", name)
		}
	}
	return nil
}

// File is the content of NAME.json for the lease in subnet.env. created is when
// podman is told that the network was made. The same lease gives the same
// network: its ID comes from the name.
func File(name string, s envfile.Subnet, created time.Time) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	id := sha256.Sum256([]byte("flanneld " + name))
	text, err := json.MarshalIndent(network{
		Name: name, ID: hex.EncodeToString(id[:]), Driver: "bridge", Interface: "br-" + name, Created: created.UTC(),
		Subnets: []subnet{{s.Lease(), s.Subnet.Addr()}}, DNS: true,
		Options: map[string]string{"mtu": strconv.Itoa(s.MTU)}, IPAM: map[string]string{"driver": "host-local"},
	}, "", "  ")
	return append(text, '\n'), err
}
