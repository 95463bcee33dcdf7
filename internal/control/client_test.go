// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answerWith is a socket on which each caller gets these bytes once it has sent
// a request. Then the connection ends.
func answerWith(t *testing.T, answer string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "odd.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return path
}

func httpAnswer(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body)
}

// Whatever answers on the socket, the user is told on one line.
func TestOddAnswersAreExplainedOnOneLine(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"nothing":              {"", "flanneld stopped before it answered"},
		"half an answer":       {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "flanneld stopped before it answered"},
		"another protocol":     {"220 mail ready\r\n", "odd.sock: "},
		"no JSON":              {httpAnswer(200, "hello\nworld"), "no flanneld of this version"},
		"JSON of another kind": {httpAnswer(200, `["a"]`), "no flanneld of this version"},
		"a number as a text":   {httpAnswer(200, `{"pid":"x"}`), "no flanneld of this version"},
		"a refusal":            {httpAnswer(409, `{"error":"not now\nlater"}`), "not now; later"},
		"a bare refusal":       {httpAnswer(500, "out of\n\tmemory\n"), "flanneld answered 500: out of memory"},
		"an empty refusal":     {httpAnswer(404, `{"error":""}`), "flanneld answered 404"},
		"an older daemon":      {httpAnswer(404, "404 page not found\n"), "older than this program"},
		"a long refusal":       {httpAnswer(502, strings.Repeat("<p>\n", 10000)), "flanneld answered 502: <p> <p>"},
	} {
		_, err := NewClient(answerWith(t, c.answer)).Status(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\t") || len(err.Error()) > 400 {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if errors.Is(err, ErrNoDaemon) {
			t.Errorf("%s: is taken for no daemon: %v", name, err)
		}
	}
}

// A field that a later version has added is passed over.
func TestAnswersOfALaterVersionAreRead(t *testing.T) {
	s, err := NewClient(answerWith(t, httpAnswer(200, `{"version":"9","tomorrow":{"a":[1]}}`))).Status(t.Context())
	if err != nil || s.Version != "9" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestEndlessAnswersAreCutOff(t *testing.T) {
	endless := "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\"" + strings.Repeat("x", maxAnswer+10)
	if _, err := NewClient(answerWith(t, endless)).Nodes(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %.200v", err)
	}
}

func TestWaysInWhichASocketFails(t *testing.T) {
	c := NewClient("/run/no/such.sock")
	for name, tc := range map[string]struct {
		err  error
		want string
		none bool
	}{
		"no socket":      {&net.OpError{Err: fs.ErrNotExist}, "systemctl start flanneld", true},
		"no listener":    {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), "systemctl start flanneld", true},
		"not allowed":    {fmt.Errorf("dial: %w", syscall.EACCES), "run as root", false},
		"was reset":      {syscall.ECONNRESET, "stopped before it answered", false},
		"ended":          {io.EOF, "stopped before it answered", false},
		"took too long":  {context.DeadlineExceeded, "did not answer in time", false},
		"was given up":   {context.Canceled, "canceled", false},
		"something else": {errors.New("odd"), "/run/no/such.sock: odd", false},
	} {
		err := c.explain(tc.err)
		if !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrNoDaemon) != tc.none || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A daemon that hangs keeps the caller as long as the caller wants.
func TestADaemonThatHangsIsGivenUp(t *testing.T) {
	d := &fake{started: make(chan struct{}), finish: make(chan struct{})}
	path, _ := serve(t, d)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := NewClient(path).Leave(ctx)
	if err == nil || !strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("got %v", err)
	}
	close(d.finish)
}
