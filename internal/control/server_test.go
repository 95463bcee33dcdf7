// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// admitted answers a request of a caller with a verdict, without a socket.
func admitted(d Daemon, log *slog.Logger, verdict error, r *http.Request) *httptest.ResponseRecorder {
	s := &Server{daemon: d, log: log}
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), verdictKey{}, verdict)))
	return w
}

// explosive is a body that must not be read.
type explosive struct{ t *testing.T }

func (e explosive) Read([]byte) (int, error) {
	e.t.Error("the body of an unwelcome caller was read")
	return 0, io.EOF
}

func TestUnwelcomeCallersAreTurnedAwayUnread(t *testing.T) {
	var log bytes.Buffer
	d := &fake{}
	verdict := errors.New("user 1000 may not talk to flanneld")
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/v1/status", nil), httptest.NewRequest(http.MethodPost, "/v1/join", explosive{t}),
		httptest.NewRequest(http.MethodPost, "/v1/leave", explosive{t}), httptest.NewRequest(http.MethodGet, "/nowhere", nil),
	} {
		w := admitted(d, slog.New(slog.NewTextHandler(&log, nil)), verdict, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "may not talk") || strings.Contains(w.Body.String(), "1.2.3") {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
		}
	}
	if n := strings.Count(log.String(), "caller refused"); n != 4 || len(d.joined) != 0 {
		t.Errorf("%d refusals logged, joined %v", n, d.joined)
	}
	ctx := withVerdict(t.Context(), &net.UnixConn{}) // of another listener
	if verdict, _ := ctx.Value(verdictKey{}).(error); verdict == nil {
		t.Error("a caller that nothing is known of is let in")
	}
}

// cutOff is a body that ends before its length.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is too large and what is cut off are two faults.
func TestBodiesThatCannotBeReadAreToldApart(t *testing.T) {
	for want, body := range map[int]io.Reader{
		http.StatusBadRequest: cutOff{}, http.StatusRequestEntityTooLarge: strings.NewReader(strings.Repeat("x", maxBody+1)),
	} {
		d := &fake{}
		w := admitted(d, discard(), nil, httptest.NewRequest(http.MethodPost, "/v1/join", body))
		if w.Code != want || len(d.joined) != 0 {
			t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
		}
	}
}

// strange is a daemon with an answer that JSON cannot hold.
type strange struct{ fake }

func (*strange) Status() Status { return Status{Uptime: Seconds(math.NaN())} }

func TestAnswersThatAreNoJSONAreAnError(t *testing.T) {
	if w := admitted(&strange{}, discard(), nil, httptest.NewRequest(http.MethodGet, "/v1/status", nil)); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	w := admitted(&fake{}, discard(), nil, httptest.NewRequest(http.MethodGet, "/v1/status", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || !strings.HasSuffix(w.Body.String(), "}\n") {
		t.Errorf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
}

// leaver reports how a leave ended.
type leaver struct {
	fake
	ended chan error
}

func (l *leaver) Leave(ctx context.Context) (Left, error) {
	left, err := l.fake.Leave(ctx)
	l.ended <- err
	return left, err
}

// Half a leave is worse than a whole one: a caller that goes away stops none.
func TestALeaveGoesOnWithoutItsCaller(t *testing.T) {
	d := &leaver{fake: fake{started: make(chan struct{}), finish: make(chan struct{})}, ended: make(chan error, 1)}
	path, _ := serve(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := NewClient(path).Leave(ctx)
		asked <- err
	}()
	<-d.started
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller was told %v", err)
	}
	select {
	case err := <-d.ended:
		close(d.finish)
		t.Fatalf("the leave ended with its caller: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(d.finish)
	if err := <-d.ended; err != nil {
		t.Errorf("the leave ended with %v", err)
	}
}

// More callers than slots are all served, one after the other.
func TestManyCallersAreAllServed(t *testing.T) {
	path, _ := serve(t, &fake{})
	var all sync.WaitGroup
	for range 3 * maxConns {
		all.Go(func() {
			if _, err := NewClient(path).Nodes(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A socket that was removed is made again, and requests under way are answered.
func TestARemovedSocketIsMadeAgain(t *testing.T) {
	d := &fake{started: make(chan struct{}), finish: make(chan struct{})}
	path, s := serve(t, d)
	left := make(chan error, 1)
	go func() {
		_, err := NewClient(path).Leave(t.Context())
		left <- err
	}()
	<-d.started
	if err := s.Renew(); err != nil || !s.InPlace() {
		t.Errorf("a socket in its place: %t, %v", s.InPlace(), err)
	}
	for range 3 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if s.InPlace() {
			t.Error("a socket that was removed is in its place")
		}
		if err := s.Renew(); err != nil || !s.InPlace() {
			t.Fatalf("in place %t, %v", s.InPlace(), err)
		}
		if _, err := NewClient(path).Status(t.Context()); err != nil {
			t.Errorf("after it was made again: %v", err)
		}
	}
	close(d.finish)
	if err := <-left; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What took the socket's place is not this server's to remove.
func TestWhatTookTheSocketsPlaceStays(t *testing.T) {
	path, s := serve(t, &fake{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(); err == nil || !strings.Contains(err.Error(), "is no socket") || s.InPlace() {
		t.Errorf("beside a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file holds %q", b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := Listen(path, &fake{}, discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(); err == nil || !strings.Contains(err.Error(), "another flanneld answers") {
		t.Errorf("beside another daemon: %v", err)
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Renew(); err != nil || !s.InPlace() {
		t.Errorf("when it has gone: %v", err)
	}
}

// A server that was shut down makes no socket any more: the guard may ask late.
func TestAClosedServerMakesNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flanneld.sock")
	s, err := Listen(path, &fake{}, discard())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := s.Renew(); err != nil || !s.InPlace() {
		t.Errorf("renewed: %t, %v", s.InPlace(), err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a socket: %v", err)
	}
	if err := s.Serve(); err != nil {
		t.Errorf("served after its end: %v", err)
	}
}

// A socket path in a directory that is gone is an error, not a panic.
func TestSocketWithoutADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone", "flanneld.sock")
	if _, err := Listen(path, &fake{}, discard()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if Answers(path) {
		t.Error("a socket that is not there answers")
	}
}

func TestSocketAnswersBeforeItIsServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flanneld.sock")
	s, err := Listen(path, &fake{}, discard())
	if err != nil {
		t.Fatal(err)
	}
	if !Answers(path) {
		t.Error("a second daemon would take its place")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if Answers(path) {
		t.Error("it answers after its end")
	}
}
