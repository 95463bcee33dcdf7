// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/host/docker"
)

// Docker is what of an engine is needed here.
type Docker interface {
	API() docker.API
	// Networks lists the networks of this host.
	Networks(ctx context.Context) ([]Network, error)
	// Containers names the containers of a network, also those that do not
	// run.
	Containers(ctx context.Context, network Network) ([]string, error)
	Create(ctx context.Context, network Network) error
	Remove(ctx context.Context, network Network) error
}

// Kept is what Keep found or made.
type Kept struct {
	Network
	Part    docker.Part // of the lease
	Made    bool
	Changes []string // why it was made anew; empty for one that was not there
}

// Keep makes the network as it should be. One that differs is made anew, unless
// it has containers, or was not made here: then the error says what to type.
// With everything in place it changes nothing.
func Keep(ctx context.Context, d Docker, w Wish) (Kept, error) {
	all, err := d.Networks(ctx)
	if err != nil {
		return Kept{}, err
	}
	want, err := w.network(d.API(), all)
	if err != nil {
		return Kept{}, err
	}
	part, _ := docker.ParsePart(want.Labels[labelPart])
	kept := Kept{Network: want, Part: part}
	have, found := find(all, w.Name)
	if found {
		kept.Changes = differences(have, want)
		if len(kept.Changes) == 0 {
			return kept, nil
		}
		if err := clear(ctx, d, have, kept.Changes); err != nil {
			return Kept{}, err
		}
	}
	if err := d.Create(ctx, want); err != nil {
		return Kept{}, err
	}
	kept.Made = true
	return kept, nil
}

// clear removes a network that differs.
func clear(ctx context.Context, d Docker, have Network, changes []string) error {
	wrong := strings.Join(changes, ", ")
	if !have.Ours() {
		return fmt.Errorf("Docker network %s is there, and was not made by flanneld (%s): choose another name, or remove it (docker network rm %[1]s)", have.Name, wrong)
	}
	inside, err := d.Containers(ctx, have)
	if err != nil {
		return err
	}
	if len(inside) > 0 {
		return fmt.Errorf("network %s has to be made anew (%s), and containers are in the way (%s): %s, then again",
			have.Name, wrong, some(inside), leaveAdvice(inside))
	}
	return d.Remove(ctx, have)
}

// leaveAdvice is how containers leave a network.
func leaveAdvice(inside []string) string {
	return "remove them (docker compose down; docker rm -f " + strings.Join(inside[:min(len(inside), namedAtMost)], " ") + ")"
}

// namedAtMost is how many containers are named in a message.
const namedAtMost = 4

func some(names []string) string {
	if more := len(names) - namedAtMost; more > 0 {
		return strings.Join(names[:namedAtMost], ", ") + fmt.Sprintf(", %d more", more)
	}
	return strings.Join(names, ", ")
}

// ErrAbsent is the error of Remove where there is no such network.
var ErrAbsent = errors.New("there is no such network")

// Remove removes the network of that name, unless it has containers, or was not
// made here. Without any it is ErrAbsent.
func Remove(ctx context.Context, d Docker, name string) error {
	all, err := d.Networks(ctx)
	if err != nil {
		return err
	}
	have, found := find(all, name)
	if !found {
		return ErrAbsent
	}
	if !have.Ours() {
		return fmt.Errorf("Docker network %s was not made by flanneld: docker network rm %[1]s", name)
	}
	inside, err := d.Containers(ctx, have)
	if err != nil {
		return err
	}
	if len(inside) > 0 {
		return fmt.Errorf("containers are in network %s (%s): %s, then again", name, some(inside), leaveAdvice(inside))
	}
	return d.Remove(ctx, have)
}

// Share is a network with addresses of the overlay network.
type Share struct {
	Network
	Part  string   // of the lease, such as 1/2; "" where it is no part
	Wrong []string // what does not fit the lease, one phrase each
}

// Division is how the lease is divided among Docker's networks.
type Division struct {
	Shares []Share
	Free   []netip.Prefix // what no network has
}

// Divide says how a lease in an overlay network is divided. mtu is the overlay
// device's, in bytes; masquerade is whether Docker should masquerade.
func Divide(api docker.API, all []Network, network, lease netip.Prefix, mtu int, masquerade bool) Division {
	var d Division
	var used []netip.Prefix
	for _, n := range all {
		if !n.Subnet.IsValid() || !n.Subnet.Overlaps(network) {
			continue
		}
		used = append(used, n.Subnet)
		s := Share{Network: n}
		if p, ok := docker.PartOf(lease, n.Subnet); ok {
			s.Part = p.String()
		} else {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s is not in the lease %s", n.Subnet, lease))
		}
		s.Wrong = append(s.Wrong, n.misfits(api, lease, mtu, masquerade)...)
		d.Shares = append(d.Shares, s)
	}
	slices.SortStableFunc(d.Shares, func(a, b Share) int { return a.Subnet.Addr().Compare(b.Subnet.Addr()) })
	d.Free = docker.Rest(lease, used)
	return d
}

// misfits says how a network's options do not fit the lease. A network that was
// made here is held to each option, and any other to the MTU.
func (n Network) misfits(api docker.API, lease netip.Prefix, mtu int, masquerade bool) []string {
	if part, err := docker.ParsePart(n.Labels[labelPart]); err == nil {
		w := Wish{Name: n.Name, Lease: lease, Part: &part, MTU: mtu, Masquerade: masquerade}
		want, err := w.network(api, []Network{n})
		if err != nil {
			return []string{err.Error()}
		}
		want.Subnet, want.Gateway = n.Subnet, n.Gateway // compared before
		return differences(n, want)
	}
	if n.MTU() > mtu {
		return []string{fmt.Sprintf("MTU is %d, and the overlay device has %d", n.MTU(), mtu)}
	}
	return nil
}
