// SPDX-License-Identifier: Apache-2.0

// Package web serves health, readiness, metrics and the page of this node over
// HTTP.
//
// It shows and changes nothing. Callers are not known: what they send and how
// long they take is bounded. A server on a loopback address answers only
// requests to a loopback name, and the page only those to an address or to a
// name of this host, so that a page from elsewhere cannot read it through a
// browser (DNS rebinding). Requests that a browser sends for another page are
// refused.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"flanneld/internal/control"
)

// What a caller may take.
const (
	maxCallers = 32              // connections at once; more wait
	readTime   = 5 * time.Second // to send a request
	writeTime  = 15 * time.Second
	maxHeaders = 4 << 10 // bytes; net/http adds 4 KiB of its own
)

// Config says where a Server listens, and what it shows. The functions may be
// called concurrently.
type Config struct {
	Address netip.AddrPort
	// Health names the parts of the process that do not answer, one line each.
	// It returns when ctx ends at the latest.
	Health func(ctx context.Context) (silent []string)
	Ready  func() control.Readiness
	// Metrics answers a scrape.
	Metrics http.Handler
	// Page answers a browser. Nil: there is none.
	Page http.Handler
	// Names are names of this host under which a browser may ask for the page.
	Names []string
	Log   *slog.Logger
}

// Server answers over HTTP.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	ready    recent[control.Readiness]
	ended    chan struct{} // closed when the server does not answer any more
}

// ErrNoAddress is the error of Listen where no interface of this host has the
// address.
var ErrNoAddress = errors.New("no interface of this host has this address; give one that `ip address` shows, or 127.0.0.1")

// Listen opens the port, and answers from then on.
func Listen(c Config) (*Server, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(c.Address))
	if err != nil {
		return nil, listenError(c.Address, err)
	}
	s := &Server{cfg: c, listener: limited(l, maxCallers), ended: make(chan struct{})}
	s.ready.ask = c.Ready
	s.http = &http.Server{
		Handler:           guarded(c.Address.Addr(), s.routes()),
		ReadHeaderTimeout: readTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		MaxHeaderBytes:    maxHeaders,

		DisableGeneralOptionsHandler: true,

		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	s.http.SetKeepAlivesEnabled(false) // a slot is for one request
	go s.serve()
	return s, nil
}

// listenError says what to do about a port that cannot be opened.
func listenError(a netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens there (ss -ltnp sport = :%d shows which); stop it, or give another port", a.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ErrNoAddress
	case errors.Is(err, syscall.EACCES):
		return errors.New("not permitted: a port below 1024 needs CAP_NET_BIND_SERVICE (CapabilityBoundingSet=CAP_NET_BIND_SERVICE in a drop-in of the unit): give one from 1024 on")
	}
	return err
}

func (s *Server) serve() {
	defer close(s.ended)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Log.Error("the page, metrics and health are not served any more", "address", s.cfg.Address, "error", err)
	}
}

// Address is where the server listens.
func (s *Server) Address() netip.AddrPort {
	a, _ := netip.ParseAddrPort(s.listener.Addr().String())
	return a
}

// Shutdown closes the port, lets the requests under way finish until ctx ends,
// and closes what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	err := errors.Join(s.http.Shutdown(ctx), s.http.Close())
	<-s.ended
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.cfg.Metrics)
	if s.cfg.Page != nil {
		mux.Handle("GET /", named(s.cfg.Names, s.cfg.Page))
	}
	return mux
}
