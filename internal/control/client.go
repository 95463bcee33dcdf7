// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrNoDaemon means that no daemon listens on the socket.
var ErrNoDaemon = errors.New("no flanneld answers")

const (
	// clientTime is longer than the server takes at most.
	clientTime = readTime + actTime + writeTime + 5*time.Second
	// maxAnswer bounds what a daemon can make us read: a node table of 10,000.
	maxAnswer = 16 << 20
)

// Client talks to the daemon behind one socket. It may be used from several
// goroutines.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client for the socket at path. It connects when it is used.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &Client{path: path, http: &http.Client{Transport: transport, Timeout: clientTime}}
}

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/v1/status", &s)
}

// Nodes asks for the node table.
func (c *Client) Nodes(ctx context.Context) (n Nodes, err error) {
	return n, c.get(ctx, "/v1/nodes", &n)
}

// Route asks for the next hop of an address.
func (c *Client) Route(ctx context.Context, a netip.Addr) (r Route, err error) {
	return r, c.get(ctx, "/v1/route?address="+url.QueryEscape(a.String()), &r)
}

// Join gives the daemon more addresses to join.
func (c *Client) Join(ctx context.Context, addresses []string) (j Joined, err error) {
	return j, c.post(ctx, "/v1/join", JoinRequest{Addresses: addresses}, &j)
}

// Leave has the daemon hand its lease back, clean up and stop.
func (c *Client) Leave(ctx context.Context) (l Left, err error) {
	return l, c.post(ctx, "/v1/leave", struct{}{}, &l)
}

// Forget strikes out a dead node, and returns what was known about it.
func (c *Client) Forget(ctx context.Context, node string) (n Node, err error) {
	return n, c.post(ctx, "/v1/forget", ForgetRequest{Node: node}, &n)
}

// Ping has the daemon send probes to a node, and waits for what becomes of
// them.
func (c *Client) Ping(ctx context.Context, r PingRequest) (p Pinged, err error) {
	return p, c.post(ctx, "/v1/ping", r, &p)
}

// Shortcut has the daemon switch the short-cut until its next start.
func (c *Client) Shortcut(ctx context.Context, r ShortcutRequest) (s Shortcut, err error) {
	return s, c.post(ctx, "/v1/shortcut", r, &s)
}

// ErrOlder means that the daemon does not know a request: it is of an earlier
// version than the command.
var ErrOlder = errors.New("the flanneld that runs is older than this program and does not know the request: systemctl restart flanneld")

// Examine asks the daemon to examine other nodes. It takes some seconds, up to
// half a minute where nodes do not answer.
func (c *Client) Examine(ctx context.Context) (e Examined, err error) {
	return e, c.post(ctx, "/v1/examine", struct{}{}, &e)
}

func (c *Client) get(ctx context.Context, path string, answer any) error {
	return c.do(ctx, http.MethodGet, path, nil, answer)
}

func (c *Client) post(ctx context.Context, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(body), answer)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, answer any) error {
	// The host is not used for anything, but HTTP wants one.
	req, err := http.NewRequestWithContext(ctx, method, "http://flanneld"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.explain(err)
	}
	if len(content) > maxAnswer {
		return fmt.Errorf("%s: the answer is larger than %d bytes", c.path, maxAnswer)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode, content)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("%s: what answers there is no flanneld of this version: %w", c.path, err)
	}
	return nil
}

// refusal is the daemon's own words, as one line.
func refusal(status int, content []byte) error {
	var r Refusal
	err := json.Unmarshal(content, &r)
	if err != nil && status == http.StatusNotFound {
		return ErrOlder // net/http's own answer
	}
	if err != nil || r.Error == "" {
		return fmt.Errorf("flanneld answered %d: %.200s", status, strings.Join(strings.Fields(string(content)), " "))
	}
	return errors.New(strings.ReplaceAll(r.Error, "\n", "; "))
}

// explain turns the ways in which a socket fails into what to do.
func (c *Client) explain(err error) error {
	switch {
	case occupied(c.path):
		return fmt.Errorf("%w on %s, which is no socket: move it away; a daemon that runs makes its socket again", ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w on %s: start it with `systemctl start flanneld` or `flanneld run`", ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied: run as root, or join the group the socket belongs to", c.path)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%s: flanneld stopped before it answered", c.path)
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%s: flanneld did not answer in time", c.path)
	}
	return fmt.Errorf("%s: %w", c.path, err)
}

// occupied reports whether something else than a socket is in a socket's place.
func occupied(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() != fs.ModeSocket
}
