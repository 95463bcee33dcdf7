// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/docker"
	"flanneld/internal/host/engine"
	"flanneld/internal/host/envfile"
	"flanneld/internal/valid"
)

// defaultDockerNetwork is the name of a network over the lease.
const defaultDockerNetwork = "flannel"

// engineTime bounds what a command asks of Docker. dockerd may be busy with its
// rules for seconds.
const engineTime = time.Minute

func dockerCommand(e env) *cobra.Command {
	c := &cobra.Command{Use: "docker", Short: "Keep Docker networks over the lease of this host"}
	networks := &cobra.Command{Use: "network", Short: "Make, show or remove Docker networks over the lease"}
	networks.AddCommand(dockerCreateCommand(e), dockerShowCommand(e), dockerRemoveCommand(e))
	c.AddCommand(networks)
	return c
}

func dockerCreateCommand(e env) *cobra.Command {
	var part, bridge string
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a Docker network over the lease, or put it right",
		Long: `Make a Docker network, called ` + defaultDockerNetwork + ` where no NAME is given. Its containers have addresses of this
host's lease. Other hosts reach them by these addresses. Compose files name it as an external network.

The network has the part of the lease that --part names: 1/1 is the whole, 2/2 the second half, 3/4
the third quarter. Without --part it keeps what it has, or gets the largest part that docker0 and the
other networks leave. flanneld run --docker-part says what docker0 has.

The command may be repeated, and changes nothing where all is well. After a change of the lease, of
the MTU or of these options it makes the network anew, unless containers are in the way.`,
		Example: `  flanneld docker network create
  flanneld docker network create web --part 3/4
  docker run --network web ...`,
		Args: atMost("NAME"),
	}
	c.Flags().StringVar(&part, "part", "", "part of the lease, such as 1/1, 2/2 or 3/4 (default what it has, or the largest that is free)")
	c.Flags().StringVar(&bridge, "bridge", "", "name of the network's bridge (default what it has, or br-NAME)")
	at := addDockerTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := dockerNetworkName(c, args)
		if err != nil {
			return err
		}
		wish := engine.Wish{Name: name, Bridge: bridge}
		if part != "" {
			p, err := docker.ParsePart(part)
			if err != nil || p == docker.None {
				return usage("--part %s: no part such as 1/1, 2/2 or 3/4", part)
			}
			wish.Part = &p
		}
		if bridge != "" && !valid.Device(bridge) {
			return usage("--bridge %s: not a device name; use up to %d letters, digits, dots, dashes and underscores", bridge, valid.MaxDevice)
		}
		return at.do(c.Context(), e, func(ctx context.Context, l hostLease, d *engine.Engine) error {
			wish.Lease, wish.MTU, wish.Masquerade, wish.DockerBIP = l.Lease(), l.MTU, !l.IPMasq, l.bip
			kept, err := engine.Keep(ctx, d, wish)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.out, keptLine(kept, l))
			return err
		})
	}
	return c
}

func keptLine(kept engine.Kept, l hostLease) string {
	what := fmt.Sprintf("%s, part %s of the lease %s, on bridge %s with MTU %d", kept.Subnet, kept.Part, l.Lease(), kept.Bridge(), kept.MTU())
	switch {
	case !kept.Made:
		return fmt.Sprintf("network %s is as it should be: %s", kept.Name, what)
	case len(kept.Changes) > 0:
		return fmt.Sprintf("network %s was made anew: %s (%s)", kept.Name, what, strings.Join(kept.Changes, ", "))
	}
	return fmt.Sprintf("network %s was made: %s", kept.Name, what)
}

func dockerShowCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "show",
		Short: "Show how the lease is divided among Docker's networks",
		Long: `Show which of Docker's networks have addresses of the overlay network, docker0's among them, what of
the lease is free, and what does not fit the lease. The exit status is 1 where something does not.`,
		Args: exactly(),
	}
	as := addFormat(c)
	at := addDockerTarget(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return at.do(c.Context(), e, func(ctx context.Context, l hostLease, d *engine.Engine) error {
			all, err := d.Networks(ctx)
			if err != nil {
				return err
			}
			division := engine.Divide(d.API(), all, l.Network, l.Lease(), l.MTU, !l.IPMasq)
			out := divisionOf(division, l)
			if err := show(e, *as, out, func(t *table) { drawDivision(t, out) }); err != nil {
				return err
			}
			for _, n := range out.Networks {
				if len(n.Wrong) > 0 {
					return errNotWell
				}
			}
			return nil
		})
	}
	return c
}

func divisionOf(d engine.Division, l hostLease) control.DockerNetworks {
	out := control.DockerNetworks{Network: l.Network, Lease: l.Lease(), MTU: l.MTU, Networks: []control.DockerNetwork{}, Free: []netip.Prefix{}}
	for _, s := range d.Shares {
		n := control.DockerNetwork{Name: s.Name, Bridge: s.Bridge(), Subnet: s.Subnet, Part: s.Part, Ours: s.Ours(), Wrong: []string{}}
		n.Wrong = append(n.Wrong, s.Wrong...)
		out.Networks = append(out.Networks, n)
	}
	out.Free = append(out.Free, d.Free...)
	return out
}

func drawDivision(t *table, d control.DockerNetworks) {
	t.line(plain, "lease", d.Lease.String(), "of "+d.Network.String())
	for _, n := range d.Networks {
		color, text := plain, "part "+n.Part
		if n.Part == "" {
			text = "no part of the lease"
		}
		if len(n.Wrong) > 0 {
			color, text = red, text+": "+strings.Join(n.Wrong, ", ")
		}
		t.line(color, n.Name, n.Subnet.String(), n.Bridge, text)
	}
	for _, f := range d.Free {
		t.line(plain, "free", f.String())
	}
}

func dockerRemoveCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "remove [NAME]",
		Short: "Remove a network that create made",
		Args:  atMost("NAME"),
	}
	at := addDockerTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := dockerNetworkName(c, args)
		if err != nil {
			return err
		}
		return at.ask(c.Context(), e, func(ctx context.Context, d *engine.Engine) error {
			switch err := engine.Remove(ctx, d, name); {
			case errors.Is(err, engine.ErrAbsent):
				fmt.Fprintln(e.out, "nothing to remove")
				return nil
			case err != nil:
				return err
			}
			_, err := fmt.Fprintln(e.out, "removed network", name)
			return err
		})
	}
	return c
}

// networkName is what Docker takes.
var networkName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

func dockerNetworkName(c *cobra.Command, args []string) (string, error) {
	if len(args) == 0 {
		return defaultDockerNetwork, nil
	}
	if !networkName.MatchString(args[0]) {
		return "", usage("%s: %q cannot be a network's name; use letters, digits, dots, dashes and underscores", path(c), args[0])
	}
	return args[0], nil
}

// dockerTarget is where a command finds the lease and Docker.
type dockerTarget struct {
	target
	socket *string
}

// addDockerTarget adds the flags of a command that asks Docker.
func addDockerTarget(c *cobra.Command) dockerTarget {
	t := dockerTarget{addTarget(c, "subnet-file", "docker-file"), new(string)}
	addDockerSocket(c, t.socket)
	return t
}

func addDockerSocket(c *cobra.Command, socket *string) {
	c.Flags().StringVar(socket, "docker-socket", "", "Docker's socket: a path, unix://PATH or tcp://HOST:PORT (default DOCKER_HOST, or "+engine.DefaultHost+")")
}

// dockerHost is the engine's address, from the flag or from DOCKER_HOST as
// Docker's client takes it.
func dockerHost(e env, socket string) (string, error) {
	from := "--docker-socket"
	if socket == "" {
		from = "DOCKER_HOST"
		socket, _ = e.lookup(from)
	}
	host, err := engine.Host(socket)
	if err != nil {
		return "", usage("%s: %v", from, err)
	}
	return host, nil
}

// ask opens Docker and calls f.
func (t dockerTarget) ask(ctx context.Context, e env, f func(context.Context, *engine.Engine) error) error {
	host, err := dockerHost(e, *t.socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	d, err := engine.Open(ctx, host)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(ctx, d)
}

// do reads the lease, opens Docker, and calls f.
func (t dockerTarget) do(ctx context.Context, e env, f func(context.Context, hostLease, *engine.Engine) error) error {
	if _, err := dockerHost(e, *t.socket); err != nil {
		return err // a wrong command line, before anything else
	}
	cfg, err := t.load(e)
	if err != nil {
		return err
	}
	l, err := readLease(ctx, cfg)
	if err != nil {
		return err
	}
	return t.ask(ctx, e, func(ctx context.Context, d *engine.Engine) error { return f(ctx, l, d) })
}

// hostLease is the lease of this host, and docker0's part.
type hostLease struct {
	envfile.Subnet
	bip netip.Prefix // what dockerd is started with; zero for nothing of the lease
}

// readLease reads subnet.env and the file for dockerd. Where flanneld runs, its
// lease must be the one in the file.
func readLease(ctx context.Context, cfg config.Config) (l hostLease, err error) {
	file := cfg.SubnetPath()
	if l.Subnet, err = envfile.Read(file); errors.Is(err, fs.ErrNotExist) {
		return l, fmt.Errorf("%s is not there: flanneld writes it once it has a lease (systemctl start flanneld); name another with --subnet-file", file)
	} else if err != nil {
		return l, fmt.Errorf("%w: start flanneld, which writes it anew, or name another with --subnet-file", err)
	}
	if !l.Network.Contains(l.Lease().Addr()) || l.Lease().Bits() < l.Network.Bits() {
		return l, fmt.Errorf("%s: FLANNEL_SUBNET %s is not in FLANNEL_NETWORK %s: start flanneld, which writes the file anew", file, l.Subnet.Subnet, l.Network)
	}
	status, err := control.NewClient(cfg.SocketPath()).Status(ctx)
	if err == nil && status.Lease.Subnet.IsValid() && status.Lease.Subnet != l.Lease() {
		return l, fmt.Errorf("%s has the lease %s of another flannel, and the flanneld that runs here holds %s: name its file with --subnet-file, or stop the other one",
			file, l.Lease(), status.Lease.Subnet)
	}
	if content, err := os.ReadFile(cfg.DockerPath()); err == nil {
		l.bip, _ = docker.BIP(content)
	}
	return l, nil
}
