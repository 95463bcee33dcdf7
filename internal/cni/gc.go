// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// gc removes what was kept for attachments of this network that are not valid
// any more, each with a DEL of the delegate. So the addresses of killed
// containers are free again also where the delegate does not know GC. Then the
// delegate is asked to do the same, and its address plugin: bridge does not
// hand GC on (as of 1.10). What fails does not stop the rest.
func gc(args *skel.CmdArgs) error {
	c, err := parse(args.StdinData)
	if err != nil {
		return err
	}
	ctx := context.Background()
	failures := []error{c.collect(ctx)}
	delegated, err := c.current()
	if err == nil {
		delegated["cni.dev/valid-attachments"] = c.validAttachments()
		ipam, _ := delegated["ipam"].(map[string]any)
		for _, name := range []any{delegated["type"], ipam["type"]} {
			failures = append(failures, collectIn(ctx, name, delegated))
		}
	}
	return inOne(append(failures, err))
}

// collectIn hands GC on to a plugin, unless none is named.
func collectIn(ctx context.Context, name any, delegated map[string]any) error {
	text, _ := name.(string)
	if text == "" {
		return nil
	}
	d, err := findPlugin(text, delegated)
	if err != nil {
		return err
	}
	return d.call(ctx, "GC")
}

// validAttachments is never null: null would not be a list.
func (c *config) validAttachments() []types.GCAttachment {
	return append([]types.GCAttachment{}, c.ValidAttachments...)
}

// collect deletes the attachments of this network that are not valid. A folder
// may hold those of several networks.
func (c *config) collect(ctx context.Context) error {
	all, err := attachments(c.DataDir)
	if err != nil {
		return err
	}
	var failures []error
	for _, a := range all {
		if c.isValid(a) {
			continue
		}
		delegated, err := a.kept(c.DataDir, nil)
		if err != nil || delegated["name"] != c.Name {
			continue // another network's, or unreadable: DEL removes it
		}
		d, err := findDelegate(delegated)
		if err == nil {
			err = d.delete(ctx, a)
		}
		if err == nil {
			err = a.forget(c.DataDir)
		}
		failures = append(failures, err)
	}
	return inOne(failures)
}

// isValid reports whether the runtime still has an attachment. A file that is
// named after the container alone can be flannel's, for any interface.
func (c *config) isValid(a attachment) bool {
	for _, v := range c.ValidAttachments {
		if v.ContainerID == a.container && (v.IfName == a.iface || a.iface == usualInterface) {
			return true
		}
	}
	return false
}

// inOne makes one error of several, with the code of the first.
func inOne(failures []error) error {
	var first *types.Error
	var texts []string
	for _, err := range failures {
		var failure *types.Error
		if !errors.As(err, &failure) {
			continue
		}
		if first == nil {
			first = failure
		}
		texts = append(texts, failure.Error())
	}
	if first == nil {
		return nil
	}
	return fail(first.Code, "%s", strings.Join(texts, "; "))
}
