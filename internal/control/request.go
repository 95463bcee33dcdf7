// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxBody      = 16 << 10 // bytes of a request
	maxAddresses = 64       // in one join; 64 names of 253 bytes fit into maxBody
)

// MaxNodeName is the longest name of a node, in bytes: it fits a line of a
// table. A node record takes 253 bytes; an ID has 26.
const MaxNodeName = 64

// decodeJoin reads and checks a JoinRequest. check says what is wrong with an
// address. The error is for the caller.
func decodeJoin(body []byte, check func(address string) error) (JoinRequest, error) {
	var r JoinRequest
	if err := decode(body, &r); err != nil {
		return r, err
	}
	if len(r.Addresses) == 0 {
		return r, errors.New("no address to join")
	}
	if len(r.Addresses) > maxAddresses {
		return r, fmt.Errorf("%d addresses are too many, at most %d can be joined at once", len(r.Addresses), maxAddresses)
	}
	for _, a := range r.Addresses {
		if err := check(a); err != nil {
			return r, fmt.Errorf("address %.80q: %w", a, err)
		}
	}
	return r, nil
}

// decodeForget reads and checks a ForgetRequest.
func decodeForget(body []byte) (ForgetRequest, error) {
	var r ForgetRequest
	if err := decode(body, &r); err != nil {
		return r, err
	}
	return r, CheckNode(r.Node)
}

// decodeChecked reads and checks a request.
func decodeChecked[Request interface{ Check() error }](body []byte) (r Request, err error) {
	if err := decode(body, &r); err != nil {
		return r, err
	}
	return r, r.Check()
}

// Check says what is wrong with a request.
func (r PingRequest) Check() error {
	switch {
	case r.Count < 1 || r.Count > MaxPings:
		return fmt.Errorf("count %d: not from 1 to %d", r.Count, MaxPings)
	case r.Size != 0 && (r.Size < MinPingSize || r.Size > MaxPingSize):
		return fmt.Errorf("size %d: not from %d to %d bytes", r.Size, MinPingSize, MaxPingSize)
	case r.Path != "" && !slices.Contains(PingNames(), r.Path):
		return fmt.Errorf("path %.20q: not one of %s", r.Path, strings.Join(PingNames(), ", "))
	}
	return CheckNode(r.Node)
}

// CheckNode says what is wrong with the name or ID of a node.
func CheckNode(node string) error {
	if node == "" {
		return errors.New("no node named")
	}
	if err := CheckNodeName(node); err != nil {
		return fmt.Errorf("node %.64q: %w", node, err)
	}
	return nil
}

// CheckNodeName says what is wrong with the name of a node; an empty one is
// none. Other nodes refuse the record of a name that cannot be printed.
func CheckNodeName(name string) error {
	odd := func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }
	switch {
	case len(name) > MaxNodeName:
		return fmt.Errorf("longer than %d bytes", MaxNodeName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, odd):
		return errors.New("has blanks or control characters")
	}
	return nil
}

// decodeAddress reads the address of a route request.
func decodeAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%.80q is not an IP address", text)
	}
	return a.Unmap(), nil
}

// decode takes exactly one JSON object without unknown fields.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("request is not the JSON expected: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("request has something behind its JSON")
	}
	return nil
}
