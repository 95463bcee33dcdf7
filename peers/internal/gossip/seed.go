// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// DefaultPort is the port of a seed that names none. 7946, memberlist's own, is
// taken by Docker Swarm.
const DefaultPort = 8286

// resolveTimeout bounds one look-up of a name: the resolver's own retries can
// take half a minute.
const resolveTimeout = 3 * time.Second

// Seed is an address that this node was told to join.
type Seed struct {
	host string // an IPv4 address or a name
	port uint16
}

// String returns host:port.
func (s Seed) String() string { return net.JoinHostPort(s.host, strconv.Itoa(int(s.port))) }

// parseSeed reads host[:port].
func parseSeed(text string) (Seed, error) {
	host, port := text, uint16(DefaultPort)
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		n, err := strconv.ParseUint(text[i+1:], 10, 16)
		if err != nil || n == 0 {
			return Seed{}, newError(BadConfig, "seed %q: %q is not a port: want host[:port], IPv4 or a name", text, text[i+1:])
		}
		host, port = text[:i], uint16(n)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := checkSeedAddr(addr); err != nil {
			return Seed{}, newError(BadConfig, "seed %q: %v", text, err)
		}
		return Seed{addr.String(), port}, nil
	}
	if !isHostName(host) {
		return Seed{}, newError(BadConfig, "seed %q: want host[:port], IPv4 or a name", text)
	}
	return Seed{strings.ToLower(host), port}, nil
}

// ParseSeeds reads a list of seeds, host[:port], without repetitions.
// Its errors are an [*Error].
func ParseSeeds(texts []string) ([]Seed, error) {
	var seeds []Seed
	known := map[Seed]bool{}
	for _, text := range texts {
		s, err := parseSeed(text)
		if err != nil {
			return nil, err
		}
		if !known[s] {
			known[s] = true
			seeds = append(seeds, s)
		}
	}
	return seeds, nil
}

// isHostName follows RFC 1123 section 2.1, and allows underscores, which some
// networks use. A name that ends in a number is a mistyped address.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isLetterOrDigit(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func isLetterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func checkSeedAddr(addr netip.Addr) error {
	switch {
	case !addr.Is4():
		return errors.New("only IPv4 addresses can be joined")
	case addr.IsUnspecified(), addr.IsMulticast(), addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is no host's address", addr)
	}
	return nil
}

// Resolver turns a name into addresses; [net.DefaultResolver] outside of tests.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// resolve returns the seed's endpoints, in the resolver's order, at least one.
func (s Seed) resolve(ctx context.Context, r Resolver) ([]netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(s.host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(addr, s.port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := r.LookupNetIP(ctx, "ip4", s.host)
	if err != nil {
		return nil, resolveFailure(err)
	}
	var endpoints []netip.AddrPort
	for _, addr := range addrs {
		if addr = addr.Unmap(); checkSeedAddr(addr) == nil {
			endpoints = append(endpoints, netip.AddrPortFrom(addr, s.port))
		}
	}
	if len(endpoints) == 0 {
		return nil, errors.New("the name has no usable IPv4 address")
	}
	return endpoints, nil
}

func resolveFailure(err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return errors.New("no such host: check the name, or give an address")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &dns) && dns.IsTimeout:
		return fmt.Errorf("the name was not resolved within %s", resolveTimeout)
	}
	return fmt.Errorf("the name cannot be resolved: %w", err)
}
