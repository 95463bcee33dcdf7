// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	cniversion "github.com/containernetworking/cni/pkg/version"
)

// Names are the names under which the program is the plugin: its own, and that
// of flannel's plugin. It can stand in that one's place.
var Names = []string{"flanneld-cni", "flannel"}

// Called reports whether a program that was started as arg0 is the plugin.
func Called(arg0 string) bool {
	name := filepath.Base(arg0)
	return name == Names[0] || name == Names[1]
}

// Main does what the environment variable CNI_COMMAND says, and returns the
// exit status. The network configuration comes from standard input. The result
// or the error goes to standard output, in the specification's JSON.
func Main(version string) int {
	funcs := skel.CNIFuncs{Add: add, Del: del, Check: check, GC: gc, Status: status}
	about := fmt.Sprintf("flanneld %s: a CNI plugin, which container runtimes start", version)
	failure := skel.PluginMainFuncsWithError(funcs, cniversion.All, about)
	if failure == nil {
		return 0
	}
	if err := failure.Print(); err != nil {
		fmt.Fprintf(os.Stderr, "flanneld cni: cannot write to standard output: %v\n", err)
	}
	return 1
}

// add attaches a container. If the delegate fails half-way, it is told to clean
// up, and a later DEL finds nothing to do.
func add(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	if _, err := os.Stat(args.Netns); err != nil {
		return fail(types.ErrInvalidEnvironmentVariables, "CNI_NETNS=%s is no network namespace: %v", args.Netns, err)
	}
	delegated, err := c.current()
	if err != nil {
		return err
	}
	d, err := findDelegate(delegated)
	if err != nil {
		return err
	}
	a, ctx := attachment{args.ContainerID, args.IfName}, context.Background()
	if err := a.keep(c.DataDir, d.stdin); err != nil {
		return err
	}
	result, err := d.add(ctx)
	if err != nil {
		if d.call(ctx, "DEL") == nil {
			warn(a.forget(c.DataDir))
		}
		return otherBridge(err, delegated)
	}
	if err := result.Print(); err != nil {
		return fail(types.ErrIOFailure, "cannot write the result: %v", err)
	}
	return nil
}

// current is the delegate's configuration for the lease that this host has.
func (c *config) current() (map[string]any, error) {
	s, err := readSubnets(c.SubnetFile)
	if err != nil {
		return nil, err
	}
	return c.delegated(s)
}

// del detaches a container with what ADD has kept. If that is gone, the lease
// of today does for most delegates: host-local looks for the container's
// address by its ID. Then nothing that fails is an error.
func del(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	a, ctx := attachment{args.ContainerID, args.IfName}, context.Background()
	delegated, err := a.kept(c.DataDir, c.previous())
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			warn(fmt.Errorf("%s: %w; the lease of today is used", a.file(c.DataDir), err))
		}
		c.deleteAsOfToday(ctx)
		warn(a.forget(c.DataDir))
		return nil
	}
	d, err := findDelegate(delegated)
	if err != nil {
		return err
	}
	if err := d.call(ctx, "DEL"); err != nil {
		return err
	}
	warn(a.forget(c.DataDir)) // GC tries again
	return nil
}

func (c *config) deleteAsOfToday(ctx context.Context) {
	delegated, err := c.current()
	if err != nil {
		return
	}
	d, err := findDelegate(laidOver(delegated, c.previous()))
	if err != nil {
		return
	}
	warn(d.call(ctx, "DEL"))
}

// warn puts an error that does not count into the runtime's log.
func warn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "flanneld cni: %v\n", err)
	}
}

// previous is the result of ADD, which runtimes hand to DEL and CHECK.
func (c *config) previous() map[string]any {
	if c.PrevResult == nil {
		return nil
	}
	return map[string]any{"prevResult": c.PrevResult}
}
