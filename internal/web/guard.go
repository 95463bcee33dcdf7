// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded turns away requests that no honest caller sends, before anything
// else is looked at. bound is the address that the server listens on.
func guarded(bound netip.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "nothing can be changed here: only GET and HEAD are answered", http.StatusMethodNotAllowed)
		case bound.IsLoopback() && !loopbackName(r.Host):
			http.Error(w, "this server is on a loopback address: ask for 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 0)
			next.ServeHTTP(w, r)
		}
	})
}

// loopbackName reports whether a Host header names this host by a loopback
// address or as localhost. A browser sends the name that a page was loaded
// from, whatever address that name leads to. Without the header the caller is
// no browser.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}
