// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flanneld/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// healthy is a node where all is well.
func healthy() Config {
	return Config{
		Address: netip.MustParseAddrPort("127.0.0.1:0"), Log: slog.New(slog.DiscardHandler),
		Health:  func(context.Context) []string { return nil },
		Ready:   func() control.Readiness { return control.Readiness{Ready: true, Missing: []string{}} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
	})
	return s
}

// ask sends a request as it stands, and returns the answer.
func ask(t *testing.T, s *Server, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return r, string(body)
}

func get(t *testing.T, s *Server, path string) (status int, body string) {
	t.Helper()
	r, body := ask(t, s, "GET "+path+" HTTP/1.1\nHost: 127.0.0.1\n\n")
	return r.StatusCode, body
}

func TestAHealthyNodeSaysOK(t *testing.T) {
	s := serve(t, healthy())
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, s, path); status != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if status, body := get(t, s, "/metrics"); status != http.StatusOK || body != "up 1\n" {
		t.Errorf("metrics: %d %q", status, body)
	}
}

func TestWhatIsWrongHasALineEach(t *testing.T) {
	c := healthy()
	c.Health = func(ctx context.Context) []string {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("may take for ever")
		}
		return []string{"the main loop does not answer"}
	}
	c.Ready = func() control.Readiness { return control.Readiness{Missing: []string{"no lease yet", "no device"}} }
	s := serve(t, c)
	for path, want := range map[string]string{"/healthz": "the main loop does not answer\n", "/readyz": "no lease yet\nno device\n"} {
		if status, body := get(t, s, path); status != http.StatusServiceUnavailable || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}

// Only reading is possible, by a name of this host, and there is nothing to
// find by trying.
func TestRequestsThatNoHonestCallerSendsAreRefused(t *testing.T) {
	s := serve(t, healthy())
	for request, want := range map[string]int{
		"GET /healthz HTTP/1.1\nHost: 127.0.0.1:8287\n\n":                            200,
		"HEAD /healthz HTTP/1.1\nHost: localhost\n\n":                                200,
		"GET /healthz HTTP/1.0\n\n":                                                  200,
		"POST /healthz HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n":             405,
		"DELETE /readyz HTTP/1.1\nHost: localhost\n\n":                               405,
		"OPTIONS * HTTP/1.1\nHost: localhost\n\n":                                    405,
		"CONNECT a:1 HTTP/1.1\nHost: localhost\n\n":                                  405,
		"GET / HTTP/1.1\nHost: localhost\n\n":                                        404,
		"GET /healthz/ HTTP/1.1\nHost: localhost\n\n":                                404,
		"GET /../etc/passwd HTTP/1.1\nHost: localhost\n\n":                           307, // to /etc/passwd, which is not there
		"GET /debug/pprof/ HTTP/1.1\nHost: localhost\n\n":                            404,
		"GET /healthz HTTP/1.1\nHost: flanneld.example.org\n\n":                      421,
		"GET /healthz HTTP/1.1\nHost: 127.0.0.1.example.org:8287\n\n":                421,
		"GET /healthz HTTP/1.1\n\n":                                                  400,
		"GET http://evil.example/healthz HTTP/1.1\nHost: localhost\n\n":              421,
		"GET /healthz HTTP/1.1\nHost: a\nX: " + strings.Repeat("x", 20_000) + "\n\n": 431,
		"nonsense\n\n": 400,
	} {
		r, body := ask(t, s, request)
		if r.StatusCode != want {
			t.Errorf("%.60q: %d %q, want %d", request, r.StatusCode, body, want)
		}
		if want == 405 && r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%.60q: allows %q", request, r.Header.Get("Allow"))
		}
	}
}

// paged is a node with a page that others reach.
func paged() Config {
	c := healthy()
	c.Address, c.Names = netip.MustParseAddrPort("0.0.0.0:0"), []string{"node7", "node7.example.org"}
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	return c
}

// A page from elsewhere reaches this server by a name of its own (DNS
// rebinding), or says in its requests that it is another page.
func TestThePageIsForThisHostsNamesOnly(t *testing.T) {
	s := serve(t, paged())
	const fetch = "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: script\n"
	const link = "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: "
	for request, want := range map[string]int{
		"GET / HTTP/1.1\nHost: 192.168.50.11:8287\n\n":                                         200,
		"GET /page/events HTTP/1.1\nHost: [2001:db8::1]:8287\n\n":                              200,
		"GET / HTTP/1.1\nHost: localhost:8287\n\n":                                             200,
		"GET / HTTP/1.1\nHost: NODE7:8287\n\n":                                                 200,
		"GET / HTTP/1.1\nHost: node7.example.org.\n\n":                                         200,
		"GET / HTTP/1.1\nHost: node7.evil.example:8287\n\n":                                    421,
		"GET /page/events HTTP/1.1\nHost: evil.example:8287\n\n":                               421,
		"GET / HTTP/1.1\nHost: 192.168.50.11.evil.example\n\n":                                 421,
		"GET / HTTP/1.1\nHost: [fe80::1%25eth0]:8287\n\n":                                      421,
		"POST / HTTP/1.1\nHost: node7\nContent-Length: 0\n\n":                                  405,
		"GET / HTTP/1.1\nHost: node7:8287\nOrigin: http://node7:8287\n\n":                      200,
		"GET /page/events HTTP/1.1\nHost: node7:8287\nOrigin: http://evil.example\n\n":         403,
		"GET /metrics HTTP/1.1\nHost: node7:8287\nOrigin: null\n\n":                            403,
		"GET /page/events HTTP/1.1\nHost: node7:8287\nSec-Fetch-Site: same-origin\n\n":         200,
		"GET /page/page.js HTTP/1.1\nHost: node7:8287\n" + fetch + "\n":                        403,
		"GET /metrics HTTP/1.1\nHost: node7:8287\n" + fetch + "\n":                             403,
		"GET / HTTP/1.1\nHost: node7:8287\n" + link + "document\n\n":                           200,
		"GET / HTTP/1.1\nHost: node7:8287\n" + link + "iframe\n\n":                             403,
		"GET / HTTP/1.1\nHost: node7:8287\nSec-Fetch-Site: none\nSec-Fetch-Mode: navigate\n\n": 200,
		"GET /healthz HTTP/1.1\nHost: whatever.example\n\n":                                    200, // for programs, as ever
		"GET /metrics HTTP/1.1\nHost: whatever.example\n\n":                                    200,
	} {
		r, body := ask(t, s, request)
		if r.StatusCode != want {
			t.Errorf("%.90q: %d %q, want %d", request, r.StatusCode, body, want)
		}
		if want == 421 && !strings.Contains(body, "http://ADDRESS:PORT/") {
			t.Errorf("%.90q: %q does not say what to ask for", request, body)
		}
	}
}

func TestNamesOfLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8287": true, "localhost.": true, "127.0.0.1": true, "127.1.2.3:80": true, "[::1]:8287": true, "::1": true, "[::1]": true, "": true,
		"[::ffff:127.0.0.1]": true,
		"localhost.evil.org": false, "evil.org:8287": false, "192.0.2.1": false, "10.0.0.1:8287": false, "0.0.0.0": false, "127.0.0.1.evil.org": false,
		"2130706433": false, "127.1": false, "[::2]": false, "localhost:1:2": false, "local host": false,
	} {
		if got := loopbackName(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

func FuzzLoopbackName(f *testing.F) {
	for _, host := range []string{"localhost", "127.0.0.1:80", "[::1]:1", "evil.org", "", "[", "]:", "[::1%25lo]:1", "a:b:c"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !loopbackName(host) {
			return
		}
		// What a resolver would look up is refused, but for localhost.
		name, _, found := strings.Cut(host, "]")
		if !found && strings.Count(host, ":") == 1 {
			name, _, _ = strings.Cut(host, ":")
		}
		name = strings.Replace(strings.ToLower(name), "localhost", "", 1)
		if strings.Trim(name, "[0123456789abcdef:.") != "" {
			t.Errorf("%q is taken", host)
		}
	})
}

// A server that others reach is asked by whatever name it has.
func TestAnExposedServerHasAnyName(t *testing.T) {
	c := healthy()
	c.Address = netip.MustParseAddrPort("0.0.0.0:0")
	s := serve(t, c)
	c.Address = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Address().Port())
	if r, _ := ask(t, s, "GET /healthz HTTP/1.1\nHost: node7.example.org:8287\n\n"); r.StatusCode != 200 {
		t.Errorf("%s", r.Status)
	}
}

// Many callers cost one look at the host a second.
func TestReadinessIsRememberedForAMoment(t *testing.T) {
	var looks atomic.Int64
	c := healthy()
	c.Ready = func() control.Readiness {
		return control.Readiness{Missing: []string{fmt.Sprint("look ", looks.Add(1))}}
	}
	s := serve(t, c)
	for range 5 {
		if _, body := get(t, s, "/readyz"); body != "look 1\n" {
			t.Errorf("got %q", body)
		}
	}
	time.Sleep(freshTime + 50*time.Millisecond)
	if _, body := get(t, s, "/readyz"); body != "look 2\n" {
		t.Errorf("later: %q", body)
	}
}

// Callers that send nothing hold a slot each for readTime and no longer, and
// more of them wait.
func TestCallersAreBounded(t *testing.T) {
	s := serve(t, healthy())
	for range maxCallers {
		c, err := net.Dial("tcp", s.Address().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	start := time.Now()
	if status, _ := get(t, s, "/healthz"); status != 200 {
		t.Errorf("status %d", status)
	}
	if took := time.Since(start); took < readTime/2 || took > 2*readTime {
		t.Errorf("answered after %v", took)
	}
}

func TestWhatKeepsThePortClosedIsSaid(t *testing.T) {
	s := serve(t, healthy())
	c := healthy()
	c.Address = s.Address()
	if _, err := Listen(c); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("ss -ltnp sport = :%d", c.Address.Port())) {
		t.Errorf("in use: %v", err)
	}
	c.Address = netip.MustParseAddrPort("192.0.2.77:8287")
	if _, err := Listen(c); !errors.Is(err, ErrNoAddress) {
		t.Errorf("not of this host: %v", err)
	}
}

// A stop does not wait for a caller that does not read.
func TestShutdownEndsInTime(t *testing.T) {
	c := healthy()
	blocked := make(chan struct{})
	c.Health = func(ctx context.Context) []string { close(blocked); <-ctx.Done(); return nil }
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-blocked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := net.Dial("tcp", s.Address().String()); err == nil {
		t.Error("the port is still open")
	}
}
