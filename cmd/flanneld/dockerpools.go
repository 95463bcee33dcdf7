// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"flanneld/internal/host/docker"
	"flanneld/internal/host/engine"
	"flanneld/internal/host/envfile"
)

// defaultPoolSize is the prefix length of the networks that Docker makes: 29
// containers, the gateway, and seven networks in a /24 that leaves docker0 one.
const defaultPoolSize = 27

// poolOptions are the flags of docker-opts --json.
type poolOptions struct {
	json    bool
	size    int
	version string // of Docker; "" asks it
	socket  string
}

func (p *poolOptions) add(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&p.json, "json", false, "print what daemon.json needs instead, for docker compose")
	flags.IntVar(&p.size, "size", defaultPoolSize, "with --json, prefix length of the networks that Docker makes")
	flags.StringVar(&p.version, "docker-version", "", "with --json, version of Docker, such as 28.5 (default the version of the running one)")
	addDockerSocket(c, &p.socket)
}

// check refuses flags that do not go together.
func (p *poolOptions) check(c *cobra.Command) error {
	alone := []string{"size", "docker-version", "docker-socket"}
	if p.json {
		alone = []string{"individual", "combined", "key", "no-ip-masq"}
	}
	for _, name := range alone {
		switch {
		case !c.Flags().Changed(name):
		case p.json:
			return usage("--%s: has no effect on --json", name)
		default:
			return usage("--%s: needs --json", name)
		}
	}
	if p.version != "" {
		if _, err := docker.APIOfEngine(p.version); err != nil {
			return usage("--docker-version %s: %v", p.version, err)
		}
	}
	return nil
}

// content is what daemon.json needs. docker0 has the part that was given, or
// what the file for dockerd says.
func (p *poolOptions) content(ctx context.Context, e env, subnetEnv []byte, given bool, part docker.Part, dockerFile string) ([]byte, error) {
	subnet, err := envfile.Parse(subnetEnv)
	if err != nil {
		return nil, err
	}
	lease := subnet.Lease()
	used, err := docker0Has(lease, given, part, dockerFile)
	if err != nil {
		return nil, err
	}
	rest := docker.Rest(lease, used)
	if len(rest) == 0 {
		return nil, fmt.Errorf("docker0 has the whole lease %s, and nothing is left for other networks: give --part 1/2, and flanneld run --docker-part 1/2", lease)
	}
	api, err := p.api(ctx, e)
	if err != nil {
		return nil, err
	}
	content, _, err := docker.Pools(rest, p.size, subnet.MTU, !subnet.IPMasq, api)
	return content, err
}

// docker0Has is what of the lease docker0 has.
func docker0Has(lease netip.Prefix, given bool, part docker.Part, dockerFile string) ([]netip.Prefix, error) {
	if given {
		if part == docker.None {
			return nil, nil
		}
		p, err := part.Of(lease)
		return []netip.Prefix{p}, err
	}
	content, err := os.ReadFile(dockerFile)
	if err != nil { // flanneld has written none: as docker-opts does by default
		return []netip.Prefix{lease}, nil
	}
	if bip, ok := docker.BIP(content); ok {
		return []netip.Prefix{bip}, nil
	}
	return nil, nil
}

// api is the version of Docker's API, from the flag or from Docker.
func (p *poolOptions) api(ctx context.Context, e env) (docker.API, error) {
	if p.version != "" {
		return docker.APIOfEngine(p.version)
	}
	host, err := dockerHost(e, p.socket)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	d, err := engine.Open(ctx, host)
	if err != nil {
		return 0, fmt.Errorf("%w, or name its version with --docker-version", err)
	}
	defer d.Close()
	return d.API(), nil
}
