// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Watcher reports changes of nf_tables. Changed gets a token after each
// transaction; Take returns what changed. Several transactions may make one
// token.
type Watcher struct {
	Changed <-chan struct{} // capacity one; never closed

	mu     sync.Mutex
	change Change
}

// Watch reports changes in this network namespace until ctx ends
// (NFNLGRP_NFTABLES, Linux 3.14; the program's name since 4.14). Legacy tables
// report nothing; see Legacy.
func Watch(ctx context.Context) (*Watcher, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("ruleset: %w", os.NewSyscallError("socket", err))
	}
	group := uint32(1) << (unix.NFNLGRP_NFTABLES - 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("ruleset: %w", os.NewSyscallError("bind", err))
	}
	// A file so that Go's poller waits, and Close wakes the reader.
	socket := os.NewFile(uintptr(fd), "nf_tables events")
	tokens := make(chan struct{}, 1)
	w := &Watcher{Changed: tokens}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	go func() {
		defer stop()
		defer socket.Close()
		w.read(socket, tokens)
	}()
	return w, nil
}

// read collects until the socket is closed.
func (w *Watcher) read(socket *os.File, tokens chan<- struct{}) {
	buf := make([]byte, 64<<10) // the kernel sends a page or two at a time
	for {
		n, err := socket.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		w.mu.Lock()
		if err != nil { // so many changes that some were not told
			w.change.All = true
		} else {
			w.change.add(buf[:n])
		}
		done := w.change.All || w.change.Program != ""
		w.mu.Unlock()
		if !done {
			continue // the transaction's last message names its program
		}
		select {
		case tokens <- struct{}{}:
		default:
		}
	}
}

// Take returns what has changed since the last call.
func (w *Watcher) Take() Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.change
	w.change = Change{}
	return c
}

// add reads messages of nf_tables. What it cannot read counts as a change of
// everything.
func (c *Change) add(b []byte) {
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(binary.NativeEndian.Uint32(b))
		kind := binary.NativeEndian.Uint16(b[4:])
		if length < unix.NLMSG_HDRLEN+headerLen || length > len(b) {
			c.All = true
			return
		}
		if kind>>8 == unix.NFNL_SUBSYS_NFTABLES {
			c.message(int(kind&0xff), b[unix.NLMSG_HDRLEN:length])
		}
		b = b[min(align(length), len(b)):]
	}
	if len(b) > 0 {
		c.All = true
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// message notes the table, and the chain if it is about one or a rule of one.
func (c *Change) message(kind int, b []byte) {
	family, attrs := Family(b[0]), b[headerLen:]
	if kind == unix.NFT_MSG_NEWGEN {
		c.Program = text(attrs, unix.NFTA_GEN_PROC_NAME)
		if c.Program == "" {
			c.Program = "another program"
		}
		return
	}
	table := text(attrs, 1) // NFTA_*_TABLE of all kinds of messages
	chain := ""
	switch kind {
	case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
		chain = text(attrs, unix.NFTA_CHAIN_NAME)
	case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
		chain = text(attrs, unix.NFTA_RULE_CHAIN)
	}
	c.addChain(Chain{Family: family, Table: table, Name: chain})
}

// attrTypeMask cuts the flags off an attribute type (NLA_TYPE_MASK).
const attrTypeMask = 0x3fff

// text returns a string attribute, "" where there is none.
func text(b []byte, kind uint16) string {
	for len(b) >= 4 {
		length, have := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&attrTypeMask
		if length < 4 || length > len(b) {
			return ""
		}
		if have == kind {
			return unix.ByteSliceToString(b[4:length])
		}
		b = b[min(align(length), len(b)):]
	}
	return ""
}
