// SPDX-License-Identifier: Apache-2.0

// Package envfile reads and writes subnet.env, through which the flannel CNI
// plugin and scripts learn the subnet of this host.
//
// The format is flannel's, byte for byte. Other programs source the file in a
// shell, so it never holds what a shell would expand.
package envfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"flanneld/internal/valid"
)

// Mode is the permission of every file written here: world-readable, because
// the CNI plugin and scripts of other users read them.
const Mode = 0o644

// maxSize bounds what is read; a real file has a few hundred bytes.
const maxSize = 64 << 10

// Subnet is the content of subnet.env.
type Subnet struct {
	Network  netip.Prefix // FLANNEL_NETWORK, the overlay network
	Subnet   netip.Prefix // FLANNEL_SUBNET, see FirstAddress
	Network6 netip.Prefix // FLANNEL_IPV6_NETWORK, zero where the overlay has no IPv6
	Subnet6  netip.Prefix // FLANNEL_IPV6_SUBNET, zero where the overlay has no IPv6
	MTU      int          // FLANNEL_MTU, bytes, of the overlay device
	IPMasq   bool         // FLANNEL_IPMASQ, whether flanneld masquerades
}

// FirstAddress returns the value of FLANNEL_SUBNET for a lease: its first
// address after the network's own, with the lease's length. 10.244.7.0/24 gives
// 10.244.7.1/24, which is what dockerd's --bip takes.
func FirstAddress(lease netip.Prefix) netip.Prefix {
	lease = lease.Masked()
	return netip.PrefixFrom(lease.Addr().Next(), lease.Bits())
}

// Lease returns the lease that the file speaks of: FLANNEL_SUBNET without its
// host part.
func (s Subnet) Lease() netip.Prefix { return s.Subnet.Masked() }

// Bytes returns the file's content, each variable on a line of its own in
// flannel's order.
func (s Subnet) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "FLANNEL_NETWORK=%s\n", s.Network)
	fmt.Fprintf(&b, "FLANNEL_SUBNET=%s\n", s.Subnet)
	if s.Network6.IsValid() {
		fmt.Fprintf(&b, "FLANNEL_IPV6_NETWORK=%s\n", s.Network6)
		fmt.Fprintf(&b, "FLANNEL_IPV6_SUBNET=%s\n", s.Subnet6)
	}
	fmt.Fprintf(&b, "FLANNEL_MTU=%d\n", s.MTU)
	fmt.Fprintf(&b, "FLANNEL_IPMASQ=%t\n", s.IPMasq)
	return b.Bytes()
}

// Parse reads what Bytes or flannel wrote. Unknown variables, comments and
// empty lines are passed over; the four variables that flannel always writes
// must be there and make sense.
func Parse(content []byte) (Subnet, error) {
	vars, err := Variables(content)
	if err != nil {
		return Subnet{}, err
	}
	var s Subnet
	for _, field := range []struct {
		key      string
		into     *netip.Prefix
		optional bool
	}{
		{"FLANNEL_NETWORK", &s.Network, false},
		{"FLANNEL_SUBNET", &s.Subnet, false},
		{"FLANNEL_IPV6_NETWORK", &s.Network6, true},
		{"FLANNEL_IPV6_SUBNET", &s.Subnet6, true},
	} {
		value, ok := vars[field.key]
		if !ok && field.optional {
			continue
		}
		if *field.into, err = netip.ParsePrefix(value); err != nil {
			return Subnet{}, fmt.Errorf("envfile: %s=%q is no subnet", field.key, value)
		}
	}
	if s.Network6.IsValid() != s.Subnet6.IsValid() {
		return Subnet{}, errors.New("envfile: FLANNEL_IPV6_NETWORK and FLANNEL_IPV6_SUBNET only make sense together")
	}
	if s.MTU, err = strconv.Atoi(vars["FLANNEL_MTU"]); err != nil || s.MTU <= 0 {
		return Subnet{}, fmt.Errorf("envfile: FLANNEL_MTU=%q is no MTU", vars["FLANNEL_MTU"])
	}
	switch vars["FLANNEL_IPMASQ"] {
	case "true":
		s.IPMasq = true
	case "false":
	default:
		return Subnet{}, fmt.Errorf("envfile: FLANNEL_IPMASQ=%q is neither true nor false", vars["FLANNEL_IPMASQ"])
	}
	return s, nil
}

// Read parses the file at path. A file that is not there is fs.ErrNotExist.
func Read(path string) (Subnet, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Subnet{}, fmt.Errorf("envfile: %w", err)
	}
	s, err := Parse(content)
	if err != nil {
		return Subnet{}, fmt.Errorf("%w (in %s)", err, path)
	}
	return s, nil
}

// Write puts content at path whole or not at all: temporary file beside it,
// fsync, rename. The mode is Mode whatever the umask, and the directory must
// exist. What is at path and no file stays, and is an error. Used for both
// files.
func Write(path string, content []byte) error {
	if err := replaceable(path); err != nil {
		return fmt.Errorf("envfile: write %s: %w", path, err)
	}
	if err := write(path, content); err != nil {
		return fmt.Errorf("envfile: write %s: %w", path, err)
	}
	return nil
}

func write(path string, content []byte) error {
	file, err := renameio.NewPendingFile(path,
		renameio.WithTempDir(filepath.Dir(path)), // renameio would look at $TMPDIR first
		renameio.WithStaticPermissions(Mode))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// Variables collects KEY=VALUE lines as a shell would that sources the file,
// and keeps the names that begin with FLANNEL_. The last of two equal names
// wins. Quotes around a whole value and a leading "export" are taken off.
// Expansion is not done: a value that would need it is an error.
func Variables(content []byte) (map[string]string, error) {
	if len(content) > maxSize {
		return nil, fmt.Errorf("envfile: %d bytes are too many for an environment file", len(content))
	}
	vars := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxSize+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		line = strings.TrimPrefix(line, "export ")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !valid.Variable(key) {
			return nil, fmt.Errorf("envfile: line %d is not NAME=VALUE: %.40q", n, line)
		}
		if !strings.HasPrefix(key, "FLANNEL_") {
			continue
		}
		value = unquote(value)
		if strings.ContainsAny(value, "$`\"'\\;&|<>() \t") {
			return nil, fmt.Errorf("envfile: line %d: %s has a value that a shell would change: %.40q", n, key, value)
		}
		vars[key] = value
	}
	return vars, lines.Err()
}

func unquote(value string) string {
	if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
		return value[1 : n-1]
	}
	return value
}
