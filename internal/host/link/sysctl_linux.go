// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// Indices of the settings in IFLA_INET_CONF (linux/ip.h, IPV4_DEVCONF_*).
const (
	devconfForwarding = 1
	devconfRPFilter   = 8
)

// rpStrict is the value of rp_filter that drops a packet if the route to its
// source leaves by another device.
const rpStrict = "1"

// Watch reports, on a channel of capacity one, that links, addresses, routes or
// IPv4 settings of devices have changed. It ends with ctx.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	return rtnl.WatchGroups(ctx, unix.NETLINK_ROUTE,
		unix.RTMGRP_LINK|unix.RTMGRP_IPV4_IFADDR|unix.RTMGRP_IPV4_ROUTE|rtnl.GroupSettings)
}

// Forwards reports whether the kernel forwards packets that come in by the
// device.
func Forwards(name string) (bool, error) {
	value, err := setting(name, "forwarding")
	return value == "1", err
}

// EnsureForwarding makes the kernel forward what comes in by the device, and
// accept its source addresses. It returns what it changed. It sets by netlink,
// which works even where /proc/sys is read-only.
func EnsureForwarding(name string) (changed []string, err error) {
	forwarding, strict, err := deviceSettings(name)
	if err != nil {
		return nil, err
	}
	if forwarding != "1" {
		if err := SetForwarding(name); err != nil {
			return nil, fmt.Errorf("link: %s is %s and cannot be set: %w", Sysctl(name, "forwarding"), forwarding, err)
		}
		changed = append(changed, wasForwarding(name, forwarding))
	}
	if strict {
		if err := SetLoose(name); err != nil {
			return changed, fmt.Errorf("link: %s cannot be set: %w", Sysctl(name, "rp_filter"), err)
		}
		changed = append(changed, wasStrict(name))
	}
	return changed, nil
}

// CheckForwarding returns what EnsureForwarding would change.
func CheckForwarding(name string) (wrong []string, err error) {
	forwarding, strict, err := deviceSettings(name)
	if err != nil {
		return nil, err
	}
	if forwarding != "1" {
		wrong = append(wrong, wasForwarding(name, forwarding))
	}
	if strict {
		wrong = append(wrong, wasStrict(name))
	}
	return wrong, nil
}

func wasForwarding(name, value string) string {
	return fmt.Sprintf("%s was %s", Sysctl(name, "forwarding"), value)
}

func wasStrict(name string) string { return Sysctl(name, "rp_filter") + " was strict" }

// deviceSettings reads the device's forwarding switch, and whether the kernel
// filters source addresses strictly.
func deviceSettings(name string) (forwarding string, strict bool, err error) {
	if forwarding, err = setting(name, "forwarding"); err != nil {
		return "", false, err
	}
	strict, err = FiltersStrictly(name)
	return forwarding, strict, err
}

// Settings reads the device's own forwarding switch and rp_filter.
func Settings(name string) (forwarding bool, rpFilter int, err error) {
	switched, err := setting(name, "forwarding")
	if err != nil {
		return false, 0, err
	}
	filter, err := setting(name, "rp_filter")
	if err != nil {
		return false, 0, err
	}
	rpFilter, err = strconv.Atoi(filter)
	return switched == "1", rpFilter, err
}

// SetForwarding makes the kernel forward what comes in by the device.
func SetForwarding(name string) error { return set(name, devconfForwarding, 1) }

// SetLoose sets the device's own rp_filter to loose.
func SetLoose(name string) error { return set(name, devconfRPFilter, RPLoose) }

// FiltersStrictly reports whether the kernel drops what comes in by the device
// if the route to its source leaves by another. The greater value of the
// device and of all devices counts.
func FiltersStrictly(name string) (bool, error) {
	all, err := setting("all", "rp_filter")
	if err != nil {
		return false, err
	}
	own, err := setting(name, "rp_filter")
	return max(all, own) == rpStrict, err
}

// setting reads one of the device's IPv4 settings.
func setting(name, key string) (string, error) {
	value, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + name + "/" + key)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("link: %w: %s", ErrNoDevice, name)
	} else if err != nil {
		return "", fmt.Errorf("link: read %s: %w", Sysctl(name, key), err)
	}
	return strings.TrimSpace(string(value)), nil
}

// set changes one of the device's IPv4 settings (RTM_SETLINK, IFLA_AF_SPEC,
// Linux 2.6.38).
func set(name string, index int, value uint32) error {
	l, _, err := readLink(name)
	if err != nil {
		return err
	}
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(l.Attrs().Index)
	request.AddData(message)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	settings := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil)
	settings.AddRtAttr(index, nl.Uint32Attr(value))
	request.AddData(spec)
	_, err = request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// iflaInetConf is IFLA_INET_CONF (linux/if_link.h).
const iflaInetConf = 1
