// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"flanneld/encap"
	"flanneld/internal/control"
	"flanneld/internal/host/docker"
	"flanneld/internal/valid"
)

// The functions here turn the text of one setting into its field. They return
// the reason alone: the caller knows the flag and the value.

type addr = netip.Addr

const (
	// minMTU is the smallest datagram every IPv4 host must take (RFC 791).
	minMTU = 576
	// maxLanes keeps a typing error from asking for a thousand threads.
	maxLanes = 64
	// maxVNI is the largest VXLAN network identifier (RFC 7348, 24 bits).
	maxVNI = 1<<24 - 1
	// minLeaseTTL: below it a restart would cost a node its subnet.
	minLeaseTTL = time.Second
)

// parsePrefix parses an IPv4 prefix. Its host bits have to be zero.
func parsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("not a prefix; write it like 10.244.0.0/16")
	}
	if !p.Addr().Is4() {
		return netip.Prefix{}, errors.New("not an IPv4 prefix; this version carries IPv4 only")
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("has bits set behind its length; did you mean %s?", p.Masked())
	}
	return p, nil
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return addr{}, errors.New("not an IP address; write it like 192.168.1.10")
	}
	if !a.Is4() {
		return addr{}, errors.New("not an IPv4 address; this version's underlay is IPv4 only")
	}
	return a, nil
}

func parseInt(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("not a number from %d to %d", low, high)
	}
	return n, nil
}

func setNetwork(c *Config, text string) (err error) {
	c.Network, err = parsePrefix(text)
	return err
}

func setSubnet(c *Config, text string) (err error) {
	c.Subnet, err = parsePrefix(text)
	return err
}

func setSubnetLen(c *Config, text string) (err error) {
	c.SubnetLen, err = parseInt(text, 1, maxSubnetLen)
	return err
}

func setAddr(field func(*Config) *addr) func(*Config, string) error {
	return func(c *Config, text string) (err error) {
		*field(c), err = parseAddr(text)
		return err
	}
}

func setPublicIP(c *Config, text string) error {
	a, err := parseAddr(text)
	if err != nil {
		return err
	}
	if !valid.Host(a) {
		return errors.New("no host has such an address; give the one the other nodes reach this host at")
	}
	c.PublicIP = a
	return nil
}

func setJoin(c *Config, text string) error {
	source, found, err := parseSource(text)
	if err != nil {
		return err
	}
	if found {
		return c.addSource(source)
	}
	if err := CheckSeed(text); err != nil {
		return withForms(err, text)
	}
	c.Join = append(c.Join, text)
	return nil
}

func setIface(c *Config, text string) error {
	if text == "" {
		return errors.New("empty; give an interface name or an address")
	}
	if a, err := netip.ParseAddr(text); err == nil && !a.Is4() {
		return errOnlyIPv4
	}
	c.Iface = append(c.Iface, text)
	return nil
}

func setIfaceRegex(c *Config, text string) error {
	if text == "" {
		return errors.New("an empty expression matches every interface: give one that matches the underlay's")
	}
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Errorf("not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	c.IfaceRegex = append(c.IfaceRegex, text)
	return nil
}

func setPort(field func(*Config) *uint16) func(*Config, string) error {
	return func(c *Config, text string) error {
		n, err := parseInt(text, 1, 65535)
		if err != nil {
			return fmt.Errorf("not a port: %w", err)
		}
		*field(c) = uint16(n)
		return nil
	}
}

func setBackend(c *Config, text string) (err error) {
	c.Backend, err = ParseBackend(text)
	return err
}

func setVNI(c *Config, text string) error {
	n, err := parseInt(text, 1, maxVNI)
	c.VNI = uint32(n)
	return err
}

func setNodeName(c *Config, text string) error {
	if err := control.CheckNodeName(text); err != nil {
		return fmt.Errorf("%w; use up to %d letters, digits, dots and dashes", err, control.MaxNodeName)
	}
	c.NodeName = text
	return nil
}

func setPath(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, text string) error {
		if text == "" || strings.ContainsRune(text, 0) {
			return errors.New("not a path")
		}
		*field(c) = text
		return nil
	}
}

func setDockerKey(c *Config, text string) error {
	if text == "" {
		return errors.New("empty; write it like " + DefaultDockerKey)
	}
	if !valid.Variable(text) {
		return errors.New("not a variable's name; use letters, digits and underscores, and no digit first")
	}
	c.DockerKey = text
	return nil
}

func setDockerPart(c *Config, text string) (err error) {
	c.DockerPart, err = docker.ParsePart(text)
	return err
}

func setDevice(c *Config, text string) error {
	if err := CheckDevice(text); err != nil {
		return err
	}
	c.Device = text
	return nil
}

// CheckDevice says what is wrong with a device name.
func CheckDevice(name string) error {
	if !valid.Device(name) {
		return fmt.Errorf("not a device name; use up to %d letters, digits, dots, dashes and underscores", valid.MaxDevice)
	}
	return nil
}

func setMTU(c *Config, text string) (err error) {
	c.MTU, err = parseInt(text, minMTU, encap.MaxPayload)
	return err
}

func setSwitch(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, text string) error {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("neither true nor false")
		}
		*field(c) = on
		return nil
	}
}

func setLeaseTTL(c *Config, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("not a duration; write it like 24h or 30m")
	}
	if d < minLeaseTTL {
		return fmt.Errorf("shorter than %s; a restart would cost a node its subnet", minLeaseTTL)
	}
	c.LeaseTTL = d
	return nil
}

func setStaticPeer(c *Config, text string) error {
	p, err := ParseStaticPeer(text)
	if err != nil {
		return err
	}
	c.StaticPeers = append(c.StaticPeers, p)
	return nil
}

// setLanes: auto is one lane, which is what one core can feed; more are asked
// for by number.
func setLanes(c *Config, text string) (err error) {
	if text == "auto" {
		c.Lanes = 1
		return nil
	}
	if c.Lanes, err = parseInt(text, 1, maxLanes); err != nil {
		return fmt.Errorf("neither auto nor a number from 1 to %d", maxLanes)
	}
	return nil
}

// Offloads are the names of all offloads.
func Offloads() []string {
	return []string{TUNChecksum, TUNTCP, TUNUDP, UDPSend, UDPReceive}
}

// setOffload sets the permitted offloads: auto permits all that the kernel has.
func setOffload(c *Config, text string) error {
	switch text {
	case "auto":
		c.Offload = Offloads()
		return nil
	case "off":
		c.Offload = nil
		return nil
	}
	c.Offload = nil
	for _, name := range strings.Split(text, ",") {
		if !slices.Contains(Offloads(), name) {
			return fmt.Errorf("neither auto nor off nor a list of %s", strings.Join(Offloads(), ", "))
		}
		c.Offload = append(c.Offload, name)
	}
	return nil
}

func setChoice(field func(*Config) *string, choices ...string) func(*Config, string) error {
	return func(c *Config, text string) error {
		if !slices.Contains(choices, text) {
			return fmt.Errorf("neither %s", strings.Join(choices, " nor "))
		}
		*field(c) = text
		return nil
	}
}

func setLogLevel(c *Config, text string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[text]
	if !ok {
		return errors.New("not one of debug, info, warn, error")
	}
	c.LogLevel = level
	return nil
}
