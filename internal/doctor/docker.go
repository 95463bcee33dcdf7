// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/docker"
	"flanneld/internal/host/engine"
	"flanneld/internal/host/envfile"
)

// docker compares docker0 and Docker's networks with the lease.
func (e *exam) docker(ctx context.Context) {
	socket, local := strings.CutPrefix(e.DockerHost, "unix://")
	_, err := os.Stat(e.file(socket))
	none := local && errors.Is(err, fs.ErrNotExist)
	addrs, err := docker0Addrs()
	if none && err == nil && len(addrs) == 0 {
		e.ok("containers", "docker", "no Docker engine listens at %s", socket)
		return
	}
	s, err := envfile.Read(e.file(e.Config.SubnetPath()))
	if err != nil {
		e.skip("containers", "docker", "without a lease Docker's networks cannot be judged: "+err.Error(), "start flanneld first: Docker needs its options")
		return
	}
	e.docker0(addrs)
	if none {
		e.skip("containers", "docker", "there is a docker0, and no Docker engine listens at "+socket, "systemctl start docker, or name its socket with --docker-socket")
		return
	}
	networks, api, err := dockerNetworks(ctx, e.DockerHost)
	if err != nil {
		advice := "see: systemctl status docker"
		if !e.Root {
			advice = asRoot
		}
		e.skip("containers", "docker", err.Error(), advice)
		return
	}
	e.judgeNetworks(engine.Divide(api, networks, s.Network, s.Lease(), s.MTU, !s.IPMasq), s)
}

// judgeNetworks reports what of Docker's networks does not fit the lease.
func (e *exam) judgeNetworks(d engine.Division, s envfile.Subnet) {
	wrong := 0
	for _, share := range d.Shares {
		if len(share.Wrong) == 0 {
			continue
		}
		wrong++
		advice := fmt.Sprintf("docker network rm %s, and make it again: flanneld docker network create, or --opt com.docker.network.driver.mtu=%d", share.Name, s.MTU)
		if share.Bridge() == bridge.Docker {
			advice = "restart dockerd with the options in " + e.Config.DockerPath() + ": systemctl restart docker"
		}
		e.warn("containers", "docker", fmt.Sprintf("network %s: %s", share.Name, strings.Join(share.Wrong, ", ")), advice)
	}
	if wrong == 0 {
		e.ok("containers", "docker", "Docker's networks with addresses of %s fit the lease %s", s.Network, s.Lease())
	}
}

// docker0Addrs are the addresses of docker0.
func docker0Addrs() (addrs []netip.Prefix, err error) {
	bridges, err := bridge.List()
	for _, b := range bridges {
		if b.Name == bridge.Docker {
			addrs = b.Addrs
		}
	}
	return addrs, err
}

// dockerNetworks lists Docker's networks.
func dockerNetworks(ctx context.Context, host string) ([]engine.Network, docker.API, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	d, err := engine.Open(ctx, host)
	if err != nil {
		return nil, 0, err
	}
	defer d.Close()
	networks, err := d.Networks(ctx)
	return networks, d.API(), err
}

// docker0 compares Docker's first bridge with the options for dockerd.
func (e *exam) docker0(addrs []netip.Prefix) {
	path := e.Config.DockerPath()
	content, err := os.ReadFile(e.file(path))
	if err != nil {
		e.skipErr("containers", "docker0", err, "systemctl restart flanneld, which writes it")
		return
	}
	want, given := docker.BIP(content)
	switch {
	case !given:
		e.ok("containers", "docker0", "it gets no part of the lease (--docker-part none)")
	case len(addrs) == 0:
		e.ok("containers", "docker0", "there is no docker0; it would get %s", want)
	case addrs[0].Masked() == want.Masked():
		e.ok("containers", "docker0", "it has %s, of the lease", addrs[0])
	default:
		e.warn("containers", "docker0", fmt.Sprintf("it has %s and not %s: other hosts do not reach its containers by their addresses", addrs[0], want),
			fmt.Sprintf("stop its containers, and start dockerd with the options in %s: dockerd $(. %[1]s; echo $DOCKER_OPTS), or the drop-in of docs/docker.md", path))
	}
}
