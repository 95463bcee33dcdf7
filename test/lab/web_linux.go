// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// MetricsPort is where daemons of tests serve metrics and health.
const MetricsPort = 8287

// Loopback is MetricsPort on a host's loopback address.
var Loopback = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), MetricsPort)

// Get asks an HTTP server, from this namespace.
func (ns *Namespace) Get(at netip.AddrPort, path string) (status int, body string, err error) {
	const limit = 10 * time.Second
	dial := func(context.Context, string, string) (net.Conn, error) { return ns.Dial(at, limit) }
	client := http.Client{Timeout: limit, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	answer, err := client.Get("http://" + at.String() + path)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}
