// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"flanneld/internal/valid"
)

// CheckSeed says what is wrong with the address of a node to join: a name or
// an IPv4 address, with or without a port. It resolves nothing.
func CheckSeed(text string) error {
	if text == "" {
		return errors.New("empty; give a node as HOST or HOST:PORT")
	}
	if err := checkShape(text); err != nil {
		return err
	}
	host := text
	if strings.Contains(text, ":") {
		var port string
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return errors.New("not HOST or HOST:PORT")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("its port is not a number from 1 to 65535")
		}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return checkSeedAddr(a)
	}
	if !isHostName(host) {
		return errors.New("neither an IPv4 address nor a host name")
	}
	return nil
}

// checkShape names what people write instead of HOST or HOST:PORT.
func checkShape(text string) error {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		return fmt.Errorf("a URL; give HOST or HOST:PORT alone%s", didYouMean(host))
	}
	if _, host, ok := strings.Cut(text, "@"); ok {
		return fmt.Errorf("has a user name; give HOST or HOST:PORT alone%s", didYouMean(host))
	}
	if addr, _, ok := strings.Cut(text, "/"); ok {
		return fmt.Errorf("has a / in it; give HOST or HOST:PORT, with neither a path nor a prefix length%s", didYouMean(addr))
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil && !a.Is4() {
		return errOnlyIPv4
	}
	if strings.ContainsAny(text, " \t;") {
		return errors.New("has a blank or semicolon in it; separate nodes by commas, or give --join for each")
	}
	return nil
}

// didYouMean suggests a host that would have been taken, "" where there is
// none.
func didYouMean(host string) string {
	if strings.ContainsAny(host, "/@") || CheckSeed(host) != nil {
		return ""
	}
	return "; did you mean " + host + "?"
}

var errOnlyIPv4 = errors.New("not an IPv4 address; this version's underlay is IPv4 only")

func checkSeedAddr(a netip.Addr) error {
	switch {
	case !a.Is4():
		return errOnlyIPv4
	case !valid.Host(a):
		return errors.New("no host has such an address")
	}
	return nil
}

// isHostName is RFC 1123's rule, with the underscore that people use anyway.
// What looks like numbers and dots only is a mistyped address and no name.
func isHostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 || strings.Trim(name, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, b := range []byte(label) {
			if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_') {
				return false
			}
		}
	}
	return true
}
