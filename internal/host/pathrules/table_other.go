// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pathrules

import (
	"net"
	"net/netip"
)

// table does nothing here.
type table struct{}

func newTable(string, uint32) *table { return &table{} }

func (*table) ensure(Config, []Peer, bool) ([]string, error) { return nil, ErrPlatform }

func (*table) check() ([]string, error) { return nil, ErrPlatform }

func (*table) remove() (bool, error) { return false, ErrPlatform }

func (*table) neighbors() map[netip.Prefix]net.HardwareAddr { return nil }

func (*table) exists() bool { return false }

func (*table) traffic(Config, []Peer) (map[Key]Count, map[netip.Prefix]Count) { return nil, nil }

func (*table) refused() map[string]Count { return nil }
