// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"unicode"

	"flanneld/peers/internal/gossip/wire"
)

var errSelf = errors.New("that is this node itself")

// Fragments of memberlist's join errors (v0.7.0) and what they mean. They come
// from either side; the order matters.
var joinMeanings = []struct{ fragment, meaning string }{
	{wire.ErrNoNode.Error(), "the program there is no flanneld node"},
	{"i/o timeout", "it accepts the connection and sends nothing: is that the gossip port?"},
	{"connection reset", "it closes the connection: is that the gossip port?"},
	{"broken pipe", "it closes the connection: is that the gossip port?"},
	{"EOF", "it closes the connection: is that the gossip port?"},
}

// saidMeanings are the reasons for which the gate refuses what the other side
// says, as users read them.
var saidMeanings = []struct {
	err     error
	meaning string
}{
	{wire.ErrOtherKey, "it has another cluster key: give all nodes the same --key-file"},
	{errKeyThere, "its network is sealed: give this node its --key-file"},
	{errNoKeyThere, "it has no cluster key, and this node has: give all nodes the same --key-file, or none"},
	{wire.ErrOldFormat, "it runs flanneld 0.1, which speaks another format: upgrade it"},
	{errNoRoom, "this node has no room for its answer now; trying again helps"},
	{wire.ErrForeign, "the program there does not speak flanneld's gossip: is that the gossip port?"},
	{errMessage, "the program there does not speak flanneld's gossip: is that the gossip port?"},
	{errCompressed, "the program there does not speak flanneld's gossip: is that the gossip port?"},
	{errStreamTooLong, "the program there does not speak flanneld's gossip: is that the gossip port?"},
}

// explainJoin turns the error of a join into one that says what to do. nil
// stays nil.
func explainJoin(at netip.AddrPort, err error, try attempt) error {
	if err == nil {
		return nil
	}
	if try.err != nil {
		return explainDial(at, try.err)
	}
	for _, m := range saidMeanings {
		if errors.Is(try.said, m.err) {
			return errors.New(m.meaning)
		}
	}
	if errors.Is(try.said, errOtherNetwork) || errors.Is(try.said, wire.ErrOtherVersions) {
		return try.said
	}
	text := printable(err.Error()) // a part may be the other side's
	if _, why, ok := strings.Cut(text, errOtherNetwork.Error()+": "); ok {
		return fmt.Errorf("%w: %s", errOtherNetwork, firstLine(why))
	}
	if strings.Contains(text, errNoFounder.Error()) {
		return errNoFounder
	}
	for _, m := range joinMeanings {
		if strings.Contains(text, m.fragment) {
			return errors.New(m.meaning)
		}
	}
	if _, why, ok := strings.Cut(text, "failed to join "+at.String()+": "); ok {
		text = why
	}
	return errors.New(firstLine(text))
}

// explainDial does so for a connection that was not made.
func explainDial(at netip.AddrPort, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("stopped")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("connection refused: does flanneld run there, with gossip port %d?", at.Port())
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("no route to it, or the host is down")
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer within %s: is the host up, and gossip port %d open for TCP and UDP?", streamTimeout, at.Port())
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// printable replaces what cannot be shown in one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
