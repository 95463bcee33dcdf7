// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"

	"flanneld/internal/seal"
	"flanneld/peers"
)

// capSeal: the node opens sealed packets. Its parameters are the suites, one
// byte each, the one that it does fastest first.
const capSeal = 6

// AnnouncedSuites is what a node of a sealed network announces.
func AnnouncedSuites(suites []seal.Suite) peers.Capability {
	c := peers.Capability{Number: capSeal}
	for _, s := range suites {
		c.Param = append(c.Param, byte(s))
	}
	return c
}

// Suites are those that a node announces, the one that it does fastest first.
// Suites that this program does not know are left out.
func Suites(caps []peers.Capability) []seal.Suite {
	param, _ := find(caps, capSeal)
	var suites []seal.Suite
	for _, b := range param {
		if s := seal.Suite(b); s == seal.AESGCM || s == seal.ChaChaPoly {
			suites = append(suites, s)
		}
	}
	return suites
}

// suitesText is capSeal as people read it.
func suitesText(c peers.Capability) string {
	names := []string{"sealed"}
	for _, s := range Suites([]peers.Capability{c}) {
		names = append(names, s.String())
	}
	return strings.Join(names, "/")
}
