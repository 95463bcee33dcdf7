// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
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
		case forAnotherPage(r):
			http.Error(w, "this is not for pages of other servers: open it in a window of its own", http.StatusForbidden)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 0)
			next.ServeHTTP(w, r)
		}
	})
}

// forAnotherPage reports whether a browser sends the request for a page that is
// not this server's. Following a link to here is allowed. Sec-Fetch-Site and
// Sec-Fetch-Mode: W3C Fetch Metadata; a caller that is no browser sends none.
func forAnotherPage(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && !strings.EqualFold(origin, "http://"+r.Host) {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// named answers requests to an IP address, to localhost or to one of the names
// only. A page from elsewhere has a name of its own, whatever address that name
// leads to.
func named(names []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasName(r.Host, names) {
			http.Error(w, "the page is served under addresses and names of this host: ask for http://ADDRESS:PORT/, or for "+strings.Join(names, ", "),
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hasName reports whether a Host header is an IP address, localhost or one of
// the names.
func hasName(host string, names []string) bool {
	host = withoutPort(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	return loopbackName(host) || slices.ContainsFunc(names, func(name string) bool {
		return name != "" && strings.EqualFold(strings.TrimSuffix(host, "."), name)
	})
}

// withoutPort is a Host header without port and brackets.
func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// loopbackName reports whether a Host header names this host by a loopback
// address or as localhost. A browser sends the name that a page was loaded
// from, whatever address that name leads to. Without the header the caller is
// no browser.
func loopbackName(host string) bool {
	host = withoutPort(host)
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}
