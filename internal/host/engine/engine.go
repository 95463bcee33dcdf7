// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"flanneld/internal/host/docker"
)

// DefaultHost is where Docker's engine listens.
const DefaultHost = client.DefaultDockerHost

// Engine is a Docker engine that has answered.
type Engine struct {
	api    *client.Client
	host   string
	number docker.API
}

// Host turns a path, or an address as Docker's client takes it (unix://PATH,
// tcp://HOST:PORT), into an address; "" is DefaultHost.
func Host(given string) (string, error) {
	switch {
	case given == "":
		return DefaultHost, nil
	case strings.HasPrefix(given, "/"):
		return "unix://" + given, nil
	case strings.HasPrefix(given, "unix://") && len(given) > len("unix://"), strings.HasPrefix(given, "tcp://") && len(given) > len("tcp://"):
		return given, nil
	}
	return "", fmt.Errorf("%.60q is no path, and no unix://PATH or tcp://HOST:PORT", given)
}

// Open connects to the engine at an address (see Host), and agrees with it on a
// version of the API. The errors say what to type. Certificates for tcp:// are
// those of DOCKER_CERT_PATH.
func Open(ctx context.Context, host string) (*Engine, error) {
	if err := reach(ctx, host); err != nil {
		return nil, err
	}
	api, err := client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("Docker at %s: %w", host, err)
	}
	e := &Engine{api: api, host: host}
	answer, err := api.Ping(ctx, client.PingOptions{})
	if err != nil {
		return nil, e.explain("ask for its version", err)
	}
	if e.number, err = docker.ParseAPI(answer.APIVersion); err != nil {
		return nil, fmt.Errorf("%s answers, and is no Docker engine: name Docker's socket with --docker-socket or DOCKER_HOST", host)
	}
	if e.number < docker.APIOldest {
		return nil, fmt.Errorf("the Docker engine at %s has API %s, and %s (Docker 20.10) is the oldest that is supported: upgrade Docker", host, e.number, docker.APIOldest)
	}
	if _, err := api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, e.explain("agree on a version", err)
	}
	return e, nil
}

// reach tries a socket before the client does. The client's errors do not tell
// a socket that is refused from one that is not there.
func reach(ctx context.Context, host string) error {
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for Docker's socket %s: run this as root, or as a user in the group docker", path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTSOCK):
		return fmt.Errorf("no Docker engine answers at %s: start it (systemctl start docker), or name its socket with --docker-socket or DOCKER_HOST", path)
	}
	return fmt.Errorf("no Docker engine answers at %s: %w", path, err)
}

// explain puts an error of the client into one line with what to do.
func (e *Engine) explain(what string, err error) error {
	message := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "Error response from daemon: "), "\n", " ")
	if client.IsErrConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the Docker engine at %s did not answer (%s): %s; run this again once dockerd is up (systemctl status docker)", e.host, what, message)
	}
	return fmt.Errorf("Docker does not %s: %s", what, message)
}

// Close gives up the connection.
func (e *Engine) Close() error { return e.api.Close() }

// API is the newest version that the engine speaks.
func (e *Engine) API() docker.API { return e.number }

// Networks lists the engine's networks.
func (e *Engine) Networks(ctx context.Context) ([]Network, error) {
	list, err := e.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, e.explain("list its networks", err)
	}
	all := make([]Network, len(list.Items))
	for i, item := range list.Items {
		all[i] = fromAPI(item.Network)
	}
	return all, nil
}

func fromAPI(n network.Network) Network {
	out := Network{ID: n.ID, Name: n.Name, Driver: n.Driver, Attachable: n.Attachable, Options: n.Options, Labels: n.Labels}
	for _, c := range n.IPAM.Config {
		if c.Subnet.Addr().Is4() {
			out.Subnet, out.Gateway = c.Subnet.Masked(), c.Gateway
			break
		}
	}
	return out
}

// Containers names the containers of a network, sorted.
func (e *Engine) Containers(ctx context.Context, n Network) ([]string, error) {
	list, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("network", n.ID)})
	if err != nil {
		return nil, e.explain("list the containers of network "+n.Name, err)
	}
	var names []string
	for _, c := range list.Items {
		name := c.ID
		if len(c.Names) > 0 {
			name = strings.TrimPrefix(c.Names[0], "/")
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Create makes the network.
func (e *Engine) Create(ctx context.Context, n Network) error {
	_, err := e.api.NetworkCreate(ctx, n.Name, client.NetworkCreateOptions{
		Driver: n.Driver, Attachable: n.Attachable, Options: n.Options, Labels: n.Labels,
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: n.Subnet, Gateway: n.Gateway}}},
	})
	if err != nil {
		return e.explain("make network "+n.Name, err)
	}
	return nil
}

// Remove removes the network.
func (e *Engine) Remove(ctx context.Context, n Network) error {
	if _, err := e.api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}); err != nil {
		return e.explain("remove network "+n.Name, err)
	}
	return nil
}
