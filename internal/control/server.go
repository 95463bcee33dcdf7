// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Daemon is what the server shows and commands. Its methods are called from
// several goroutines at once. An error is the daemon's refusal, one line for
// the user.
type Daemon interface {
	// CheckAddress says what is wrong with the address of a node to join. Such
	// a request makes no sense, and Join is not called.
	CheckAddress(address string) error

	Status() Status
	Nodes() Nodes
	Route(netip.Addr) Route
	Join(context.Context, []string) (Joined, error)
	Leave(context.Context) (Left, error)
	Forget(context.Context, string) (Node, error)
	// Ping sends probes to a node; see PingRequest.
	Ping(ctx context.Context, node, path string, count, size int) (Pinged, error)
	// Trace follows packets to an overlay address.
	Trace(context.Context, TraceRequest) (Traced, error)
	// Events returns the events with a higher Seq than after. Without one it
	// waits until there is, or ctx ends.
	Events(ctx context.Context, after uint64) Events
	// Shortcut switches the short-cut until the next start.
	Shortcut(ctx context.Context, on bool) (Shortcut, error)
	// Examine asks other nodes what reaches them and this one.
	Examine(context.Context) (Examined, error)
}

// Times a caller may take. All are short: every caller is on this host.
const (
	readTime   = 5 * time.Second  // to send a request, header and body
	writeTime  = 5 * time.Second  // to take the answer, once there is one
	actTime    = 30 * time.Second // for the daemon to do what was asked
	maxHeaders = 4 << 10          // bytes; net/http adds 4 KiB of its own
)

// Server answers on the control socket.
type Server struct {
	http   *http.Server
	daemon Daemon
	log    *slog.Logger
	waits  chan struct{} // one for each request that waits for events

	stopping context.Context // ended by Shutdown
	stop     context.CancelFunc

	mu       sync.Mutex
	listener *listener // Renew puts another in its place
	closed   bool
}

// Listen makes the socket at path, so that callers can connect from now on;
// they are answered while Serve runs.
func Listen(path string, d Daemon, log *slog.Logger) (*Server, error) {
	l, err := listen(path)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, daemon: d, log: log, waits: make(chan struct{}, maxEventWaits)}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.routes(),
		ConnContext:       withVerdict,
		ReadHeaderTimeout: readTime,
		ReadTimeout:       readTime,
		WriteTimeout:      readTime + actTime + writeTime, // until reply sets a nearer one
		MaxHeaderBytes:    maxHeaders,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.http.SetKeepAlivesEnabled(false) // a slot is for one request
	return s, nil
}

// Serve answers until Shutdown, and then returns nil.
func (s *Server) Serve() error {
	for {
		l := s.current()
		err := s.http.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		if s.current() == l {
			return err
		}
	}
}

func (s *Server) current() *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener
}

// InPlace reports whether the socket that callers find is this server's.
func (s *Server) InPlace() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.listener.inPlace()
}

// Renew makes the socket again where it was removed. Requests under way are
// answered. It does not take the place of another daemon's socket that answers.
func (s *Server) Renew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.listener.inPlace() {
		return nil
	}
	renewed, err := listen(s.listener.path)
	if err != nil {
		return err
	}
	old := s.listener
	s.listener = renewed
	old.SetUnlinkOnClose(false) // the path is the new one's
	return old.Close()
}

// Shutdown removes the socket, lets the requests under way finish until ctx
// ends, and closes what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true // the listener stays as it is
	s.mu.Unlock()
	s.stop()
	err := errors.Join(s.http.Shutdown(ctx), s.http.Close())
	if lerr := s.listener.Close(); lerr != nil && !errors.Is(lerr, net.ErrClosed) { // it was never served
		err = errors.Join(err, lerr)
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/nodes", s.nodes)
	mux.HandleFunc("GET /v1/route", s.route)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/join", s.join)
	mux.HandleFunc("POST /v1/leave", s.leave)
	mux.HandleFunc("POST /v1/forget", s.forget)
	mux.HandleFunc("POST /v1/ping", s.ping)
	mux.HandleFunc("POST /v1/shortcut", s.shortcut)
	mux.HandleFunc("POST /v1/examine", s.examine)
	mux.HandleFunc("POST /v1/trace", s.trace)
	return s.guard(mux)
}

type verdictKey struct{}

func withVerdict(ctx context.Context, c net.Conn) context.Context {
	own, ok := c.(*conn)
	if !ok {
		return context.WithValue(ctx, verdictKey{}, errors.New("caller unknown"))
	}
	return context.WithValue(ctx, verdictKey{}, own.verdict)
}

// guard turns unwelcome callers away before anything of theirs is read, and
// bounds the body of the others.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if verdict, _ := r.Context().Value(verdictKey{}).(error); verdict != nil {
			s.log.Warn("caller refused on the control socket", "reason", verdict)
			refuse(w, http.StatusForbidden, verdict)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.daemon.Status())
}

func (s *Server) nodes(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.daemon.Nodes())
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	a, err := decodeAddress(r.URL.Query().Get("address"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	reply(w, http.StatusOK, s.daemon.Route(a))
}

// events waits for as long as the caller asks it to. A caller that reads slowly
// asks later, and gets what the daemon still has: nothing is queued for it. A
// server that shuts down ends the wait.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	q, err := decodeEvents(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), q.Wait)
	defer cancel()
	if q.Wait > 0 {
		select {
		case s.waits <- struct{}{}:
			defer func() { <-s.waits }()
		default:
			refuse(w, http.StatusTooManyRequests, fmt.Errorf("%d callers wait for events already: end one of them", maxEventWaits))
			return
		}
		defer context.AfterFunc(s.stopping, cancel)()
		// Else the end of readTime would end r's context.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(q.Wait + readTime))
	}
	reply(w, http.StatusOK, s.daemon.Events(ctx, q.After))
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	read := func(body []byte) (JoinRequest, error) { return decodeJoin(body, s.daemon.CheckAddress) }
	act(w, r, read, func(ctx context.Context, req JoinRequest) (Joined, error) {
		return s.daemon.Join(ctx, req.Addresses)
	})
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	act(w, r, decodeForget, func(ctx context.Context, req ForgetRequest) (Node, error) {
		return s.daemon.Forget(ctx, req.Node)
	})
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request) {
	act(w, r, decodeChecked[PingRequest], func(ctx context.Context, req PingRequest) (Pinged, error) {
		return s.daemon.Ping(ctx, req.Node, req.Path, req.Count, req.Size)
	})
}

func (s *Server) shortcut(w http.ResponseWriter, r *http.Request) {
	act(w, r, decodeChecked[ShortcutRequest], func(ctx context.Context, req ShortcutRequest) (Shortcut, error) {
		return s.daemon.Shortcut(ctx, req.Setting == ShortcutAuto)
	})
}

func (s *Server) examine(w http.ResponseWriter, r *http.Request) {
	act(w, r, nothing, func(ctx context.Context, _ struct{}) (Examined, error) { return s.daemon.Examine(ctx) })
}

// nothing reads a request that says no more than its path.
func nothing(body []byte) (none struct{}, err error) { return none, decode(body, &none) }

func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	act(w, r, decodeChecked[TraceRequest], s.daemon.Trace)
}

func (s *Server) leave(w http.ResponseWriter, r *http.Request) {
	act(w, r, nothing, func(ctx context.Context, _ struct{}) (Left, error) { return s.daemon.Leave(ctx) })
}

// act reads a request, has it done, and answers. What was begun is not given up
// when the caller goes away: half a leave is worse than a whole one.
func act[Request, Answer any](w http.ResponseWriter, r *http.Request, read func([]byte) (Request, error), do func(context.Context, Request) (Answer, error)) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		refuse(w, status, err)
		return
	}
	request, err := read(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTime)
	defer cancel()
	answer, err := do(ctx, request)
	if err != nil {
		refuse(w, http.StatusConflict, err)
		return
	}
	reply(w, http.StatusOK, answer)
}

func refuse(w http.ResponseWriter, status int, err error) {
	reply(w, status, Refusal{Error: err.Error()})
}

// reply sends an answer whole, and waits for a slow reader only so long.
func reply(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil { // a type above that JSON cannot hold
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// Not every ResponseWriter has deadlines (those of tests have none).
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller went away
}
