// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"flanneld/internal/control"
)

// The specification's error codes of STATUS, from version 1.1.0 on.
const (
	codeUnavailable = 50 // containers cannot be added
	codeLimited     = 51 // and those that are there may not reach others
)

// statusTime is how long the daemon may take to answer.
const statusTime = 5 * time.Second

// status reports whether containers can be added, and reach others: error 50
// if this host has no lease or no daemon, or the delegate is not ready, and 51
// if most peers are not reached.
func status(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	s, err := readSubnets(c.SubnetFile)
	if err != nil {
		return unavailable(err)
	}
	delegated, err := c.delegated(s)
	if err != nil {
		return err
	}
	d, err := findDelegate(delegated)
	if err != nil {
		return unavailable(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTime)
	defer cancel()
	node, err := control.NewClient(filepath.Join(c.RunDir, control.SocketName)).Status(ctx)
	if err != nil {
		return fail(codeUnavailable, "%v", err)
	}
	if err := judge(node, s, c.SubnetFile); err != nil {
		return err
	}
	if err := d.call(ctx, "STATUS"); err != nil {
		return unavailable(err)
	}
	return nil
}

// judge compares the daemon's status with subnet.env.
func judge(node control.Status, s *subnets, file string) error {
	own := s.own[0]
	switch {
	case !node.Lease.Subnet.IsValid() || node.Lease.State == "lost":
		return fail(codeUnavailable, "this host has no lease: %s", node.Lease.Waiting)
	case node.Lease.Subnet != own:
		return fail(codeUnavailable, "%s has %s, and the daemon holds %s: the file is another network's or an earlier lease's; restart flanneld",
			file, own, node.Lease.Subnet)
	}
	unreachable := node.Paths.Failed + node.Members.Dead
	all := unreachable + node.Paths.Works + node.Paths.SmallOnly + node.Paths.Unproven
	if 2*unreachable > all {
		return fail(codeLimited, "%d of %d other hosts are not reached: see `flanneld nodes`", unreachable, all)
	}
	return nil
}

// unavailable gives an error the code that STATUS has for it.
func unavailable(err error) error {
	var failure *types.Error
	if errors.As(err, &failure) {
		return types.NewError(codeUnavailable, failure.Msg, failure.Details)
	}
	return fail(codeUnavailable, "%v", err)
}
