// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	getGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN
	newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
)

// headerLen is the length of struct nfgenmsg, which begins each message.
const headerLen = 4

// Generation is a number that grows with each transaction of nf_tables in this
// network namespace (NFT_MSG_GETGEN, Linux 3.14).
func Generation() (uint32, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("ruleset: open netlink: %w", err)
	}
	defer conn.Close()
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: getGeneration, Flags: netlink.Request},
		Data:   make([]byte, headerLen),
	})
	if err != nil {
		return 0, fmt.Errorf("ruleset: ask for the generation of nf_tables: %w", err)
	}
	for _, r := range replies {
		if r.Header.Type != newGeneration || len(r.Data) < headerLen {
			continue
		}
		attrs, err := netlink.UnmarshalAttributes(r.Data[headerLen:])
		if err != nil {
			return 0, fmt.Errorf("ruleset: read the generation of nf_tables: %w", err)
		}
		for _, a := range attrs {
			if a.Type == unix.NFTA_GEN_ID && len(a.Data) == 4 {
				return binary.BigEndian.Uint32(a.Data), nil
			}
		}
	}
	return 0, errors.New("ruleset: nf_tables told no generation")
}
