// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/kubernetes/kubernetestest"
)

func TestSeedsAreTheOtherNodes(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "")
	s.AddNode("b", "192.0.2.2", "")
	s.AddNode("c", "2001:db8::3", "")
	s.AddNode("d", "", "")
	c := testCluster(t, s, "a")
	seeds, err := c.Seeds(t.Context())
	if err != nil || fmt.Sprint(seeds) != "[192.0.2.2:8286]" {
		t.Errorf("%v, %v", seeds, err)
	}
	if c.String() != "k8s" {
		t.Error(c)
	}
	// The founder comes first, by its own endpoint.
	s.PutLease(testNamespace, DefaultLease, kubernetestest.Object{
		"metadata": kubernetestest.Object{"annotations": kubernetestest.Object{noteSeed: "192.0.2.9:9999"}}, "spec": kubernetestest.Object{"holderIdentity": "z/id"}})
	if seeds, err = c.Seeds(t.Context()); err != nil || fmt.Sprint(seeds) != "[192.0.2.9:9999 192.0.2.2:8286]" {
		t.Errorf("%v, %v", seeds, err)
	}
}

// Each answer has another page of a large cluster, and the first again after
// the last.
func TestALargeClusterIsReadPageByPage(t *testing.T) {
	s := testServer(t)
	for i := range 120 {
		s.AddNode(fmt.Sprintf("n%03d", i), fmt.Sprintf("10.1.0.%d", i), "")
	}
	c := testCluster(t, s, "n000")
	var sizes []int
	seen := map[string]bool{}
	for range 4 {
		seeds, err := c.Seeds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(seeds))
		for _, s := range seeds {
			seen[s] = true
		}
	}
	if !slices.Equal(sizes, []int{49, 50, 20, 49}) || len(seen) != 119 {
		t.Errorf("pages of %v, %d nodes", sizes, len(seen))
	}
	c.next = "expired" // the snapshot of the first page is compacted after minutes
	if seeds, err := c.Seeds(t.Context()); err != nil || len(seeds) != 49 {
		t.Errorf("%v, %v", seeds, err)
	}
}

// The kubelet replaces the token's file. The next request has the new one.
func TestTheTokenOfNowIsSent(t *testing.T) {
	s := testServer(t)
	s.AddNode("b", "192.0.2.2", "")
	client, dir := testClient(t, s)
	c, err := NewCluster(Config{Client: client, Node: "a", GossipPort: 8286})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seeds(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.RotateToken("token-2")
	if _, err := c.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "does not accept the pod's token (401)") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("token-2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seeds(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadAnswersAreSaidInOneLine(t *testing.T) {
	s := testServer(t)
	s.AddNode("b", "192.0.2.2", "")
	c := testCluster(t, s, "a")
	write := func(code int, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
			return true
		}
	}
	for what, one := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		says   string
	}{
		"forbidden":   {write(403, `{"message": "nodes is forbidden"}`), `refuses to list nodes (403): give the service account the rule {apiGroups: [""], resources: ["nodes"], verbs: ["list"]}`},
		"5xx":         {write(503, `{"message": "etcd is\naway"}`), "cannot list nodes now (503): etcd is away"},
		"too many":    {write(429, `busy`), "cannot list nodes now (429)"},
		"a proxy":     {write(502, "<html>"+strings.Repeat("x", 5000)), "cannot list nodes now (502)"},
		"redirection": {write(302, ""), "answers list nodes with 302"},
		"HTML":        {write(200, "<html>hello"), "something else than JSON"},
		"a list":      {write(200, `[1, 2]`), "something else than JSON"},
		"wrong types": {write(200, `{"items": 7}`), "something else than JSON"},
		"empty":       {write(200, ""), "something else than JSON"},
		"huge":        {write(200, `{"items": [`+strings.Repeat(" ", maxAnswer)), "more than 16 MiB"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"items"`)
			return true
		}, "is away: "},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, "does not answer within"},
	} {
		s.Answer(one.answer)
		ctx, cancel := context.WithTimeout(t.Context(), requestTime)
		if what == "hangs" {
			ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		}
		seeds, err := c.Seeds(ctx)
		cancel()
		if err == nil || len(seeds) > 0 || !strings.Contains(err.Error(), one.says) || !strings.Contains(err.Error(), "https://127.0.0.1:") ||
			strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 400 || errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, %v; want %q", what, seeds, err, one.says)
		}
	}
	s.Answer(nil)
	if _, err := c.Seeds(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	s.Away()
	if _, err := c.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "is away: connection refused") {
		t.Error(err)
	}
}

// A server that the pod's certificate authority does not vouch for gets no
// token.
func TestAnotherServerGetsNoToken(t *testing.T) {
	right, wrong := testServer(t), testServer(t)
	asked := false
	wrong.Answer(func(http.ResponseWriter, *http.Request) bool { asked = true; return false })
	client, dir := testClient(t, right)
	client.base = strings.Replace("https://HOST:PORT", "HOST:PORT", wrong.Environment()["KUBERNETES_SERVICE_HOST"]+":"+wrong.Environment()["KUBERNETES_SERVICE_PORT"], 1)
	c, err := NewCluster(Config{Client: client, Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), "does not vouch for") || asked {
		t.Errorf("%v, asked: %t", err, asked)
	}
	// The authority may be replaced like the token.
	if err := wrong.Account(dir, testNamespace, testToken); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Seeds(t.Context()); err != nil {
		t.Error(err)
	}
	for name, says := range map[string]string{"token": "service account", "ca.crt": "service account"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Seeds(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestOutsideOfAPodThereIsNoCluster(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	if _, err := InCluster(none, t.TempDir()); !errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), "KUBERNETES_SERVICE_HOST") {
		t.Error(err)
	}
	some := func(string) (string, bool) { return "10.96.0.1", true }
	if _, err := InCluster(some, t.TempDir()); !errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), "token") {
		t.Error(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "x", "ca.crt": "x", "namespace": "a/../b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := InCluster(some, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewCluster(Config{Client: c}); err == nil || !strings.Contains(err.Error(), "holds no name of a namespace") {
		t.Error(err)
	}
}

// The end of the time for a request reaches the server as the end of the
// connection, and what the server then answers is no answer.
func TestAnswerAfterTheTimeIsNone(t *testing.T) {
	s := testServer(t)
	client, _ := testClient(t, s)
	c, err := NewCluster(Config{Client: client, Node: "a"})
	if err != nil {
		t.Fatal(err)
	}
	s.Answer(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := c.Seeds(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "does not answer within") {
			t.Fatal(err)
		}
	}
}
