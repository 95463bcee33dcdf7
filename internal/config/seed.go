package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// CheckSeed says what is wrong with the address of a node to join: a name or
// an IPv4 address, with or without a port. It resolves nothing.
func CheckSeed(text string) error {
	if text == "" {
		return errors.New("empty; give a node as HOST or HOST:PORT")
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

func checkSeedAddr(a netip.Addr) error {
	switch {
	case !a.Is4():
		return errors.New("not an IPv4 address; this version's underlay is IPv4 only")
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
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
