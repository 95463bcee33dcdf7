// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// speak sends raw bytes to the socket and returns the status line.
func speak(t *testing.T, path, text string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	// The server may answer and close before it has read everything.
	go func() { _, _ = io.WriteString(c, text) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	defer resp.Body.Close()
	return resp.Status
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func TestRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	d := &fake{}
	path, _ := serve(t, d)
	for text, want := range map[string]string{
		"GET /v1/route?address=nowhere HTTP/1.1\r\nHost: x\r\n\r\n": "400",
		"GET /v1/route HTTP/1.1\r\nHost: x\r\n\r\n":                 "400",
		"GET /v1/events?after=x HTTP/1.1\r\nHost: x\r\n\r\n":        "400",
		"GET /v1/events?wait=21 HTTP/1.1\r\nHost: x\r\n\r\n":        "400",
		"GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n":                "404",
		"GET /v1/leave HTTP/1.1\r\nHost: x\r\n\r\n":                 "405",
		"\x16\x03\x01\x02\x00\r\n\r\n":                              "400",
		post("/v1/join", `{"addresses":[]}`):                        "400",
		post("/v1/join", `{"addresses":["a b"]}`):                   "400",
		post("/v1/join", `{"addresses":["a"],"more":1}`):            "400",
		post("/v1/join", `{"addresses":["a"]}{}`):                   "400",
		post("/v1/join", ``):                                        "400",
		post("/v1/forget", `{"node":""}`):                           "400",
		post("/v1/leave", `null x`):                                 "400",
	} {
		if got := speak(t, path, text); !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: got %s, want %s", text, got, want)
		}
	}
	if len(d.joined) != 0 {
		t.Errorf("joined %v", d.joined)
	}
}

func TestOversizedRequestsAreCutOff(t *testing.T) {
	path, _ := serve(t, &fake{})
	huge := `{"addresses":["` + strings.Repeat("a", maxBody) + `"]}`
	if got := speak(t, path, post("/v1/join", huge)); !strings.HasPrefix(got, "413") {
		t.Errorf("body: got %s, want 413", got)
	}
	header := "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n"
	if got := speak(t, path, header); !strings.HasPrefix(got, "431") {
		t.Errorf("header: got %s, want 431", got)
	}
	many := `{"addresses":["a"` + strings.Repeat(`,"a"`, maxAddresses) + `]}`
	if got := speak(t, path, post("/v1/join", many)); !strings.HasPrefix(got, "400") {
		t.Errorf("addresses: got %s, want 400", got)
	}
}

// Callers that connect and say nothing hold every slot; they lose it after
// readTime, and the next caller is served then.
func TestSilentCallersDoNotKeepOthersOut(t *testing.T) {
	path, _ := serve(t, &fake{})
	for range maxConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	begin := time.Now()
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Fatalf("after %v: %v", time.Since(begin), err)
	}
	if took := time.Since(begin); took > readTime+2*time.Second {
		t.Errorf("served after %v only", took)
	}
}
