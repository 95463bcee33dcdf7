// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// AccountDir is where the kubelet puts the service account of a pod.
const AccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Bounds of one request.
const (
	requestTime = 10 * time.Second
	maxAnswer   = 16 << 20 // bytes
	maxFile     = 1 << 20  // bytes of a file of the service account
)

// Client is a connection to the API server with the service account of a pod.
// It may be used concurrently.
type Client struct {
	base string // https://host:port
	dir  string // of the service account

	mu        sync.Mutex
	authority []byte // content of ca.crt that transport trusts
	transport *http.Transport
}

// ErrNoCluster means that this process is in no pod.
var ErrNoCluster = errors.New("no Kubernetes cluster")

// InCluster makes a client from what a pod is given: the environment, and the
// files in dir, usually [AccountDir]. It sends nothing.
func InCluster(lookup func(variable string) (string, bool), dir string) (*Client, error) {
	host, _ := lookup("KUBERNETES_SERVICE_HOST")
	port, _ := lookup("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, fmt.Errorf("%w: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, as they are in a pod", ErrNoCluster)
	}
	c := &Client{base: "https://" + net.JoinHostPort(host, port), dir: dir}
	for _, name := range []string{"token", "ca.crt", "namespace"} {
		if _, err := c.file(name); err != nil {
			return nil, fmt.Errorf("%w: the pod has no service account: %w", ErrNoCluster, err)
		}
	}
	return c, nil
}

// String is the API server's address.
func (c *Client) String() string { return c.base }

// Namespace is the pod's.
func (c *Client) Namespace() (string, error) {
	text, err := c.file("namespace")
	name := strings.TrimSpace(string(text))
	if err == nil && !isLabel(name) {
		err = fmt.Errorf("%s holds no name of a namespace", filepath.Join(c.dir, "namespace"))
	}
	return name, err
}

// file reads a file of the service account.
func (c *Client) file(name string) ([]byte, error) {
	path := filepath.Join(c.dir, name)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err == nil && len(bytes.TrimSpace(content)) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return content, err
}

// request is one request to the API server.
type request struct {
	verb     string // RBAC's word
	method   string // HTTP's
	group    string // "": the core group
	resource string // also with a subresource: nodes/status
	path     string // from the root, escaped
	query    url.Values
	accept   string // "": JSON
	content  string // type of body
	body     any    // as JSON; nil: none
}

// do sends a request and decodes the answer. Its error is an [*Error].
func (c *Client) do(ctx context.Context, r request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	answer, err := c.send(ctx, r)
	if err != nil {
		return &Error{server: c.base, request: r, cause: err}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if ctx.Err() != nil {
		// A server that sees the end of the connection may still answer, with
		// nothing, before this side has closed it.
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return &Error{server: c.base, request: r, cause: err}
	case len(body) > maxAnswer:
		return &Error{server: c.base, request: r, cause: errTooLarge}
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return &Error{server: c.base, request: r, Code: answer.StatusCode, message: statusMessage(body)}
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &Error{server: c.base, request: r, cause: errNotJSON}
	}
	return nil
}

// send sends a request with the token of now: the kubelet replaces it while it
// is valid, some hours after it was made.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	token, err := c.file("token")
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("User-Agent", "flanneld")
	req.Header.Set("Accept", "application/json")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	if r.content != "" {
		req.Header.Set("Content-Type", r.content)
	}
	transport, err := c.connect()
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req) // follows no redirection with the token
}

// connect returns the transport that trusts the certificate authority of now.
func (c *Client) connect() (*http.Transport, error) {
	authority, err := c.file("ca.crt")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil && bytes.Equal(authority, c.authority) {
		return c.transport, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(c.dir, "ca.crt"))
	}
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	// HTTP/1.1, and no proxy: a connection that hangs is given up alone.
	c.authority, c.transport = authority, &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxIdleConns:    2, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: requestTime,
		DialContext: (&net.Dialer{Timeout: requestTime}).DialContext,
	}
	return c.transport, nil
}

// Close ends idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}
