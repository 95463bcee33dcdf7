// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// delegate is another plugin, and what it reads from standard input.
type delegate struct {
	name  string
	path  string
	stdin []byte
}

// findDelegate looks in CNI_PATH for the plugin that a configuration names.
func findDelegate(delegated map[string]any) (*delegate, error) {
	name, _ := delegated["type"].(string)
	return findPlugin(name, delegated)
}

// findPlugin looks in CNI_PATH for a plugin that is to read the delegate's
// configuration.
func findPlugin(name string, delegated map[string]any) (*delegate, error) {
	stdin, err := encode(delegated)
	if err != nil {
		return nil, err
	}
	folders := os.Getenv("CNI_PATH")
	path, err := invoke.FindInPath(name, filepath.SplitList(folders))
	if err != nil {
		return nil, fail(types.ErrInvalidNetworkConfig,
			"plugin %s is not in CNI_PATH=%s: install it, or link it there (Debian has containernetworking-plugins in /usr/lib/cni)", name, folders)
	}
	return &delegate{name, path, stdin}, nil
}

// call runs the delegate with another command, and all else as this plugin was
// called.
func (d *delegate) call(ctx context.Context, command string) error {
	return d.explain(invoke.ExecPluginWithoutResult(ctx, d.path, d.stdin, &invoke.DelegateArgs{Command: command}, nil))
}

// add has the delegate make the interface.
func (d *delegate) add(ctx context.Context) (types.Result, error) {
	result, err := invoke.ExecPluginWithResult(ctx, d.path, d.stdin, &invoke.DelegateArgs{Command: "ADD"}, nil)
	return result, d.explain(err)
}

// delete has the delegate remove what it made for an attachment of which only
// the name is known.
func (d *delegate) delete(ctx context.Context, a attachment) error {
	return d.explain(invoke.ExecPluginWithoutResult(ctx, d.path, d.stdin, &invoke.Args{
		Command: "DEL", ContainerID: a.container, IfName: a.iface, Path: os.Getenv("CNI_PATH"),
	}, nil))
}

// explain keeps the delegate's error code, and says which plugin it is from. A
// plugin that does not know the configuration's version may have called the
// fault anything.
func (d *delegate) explain(err error) error {
	if err == nil {
		return nil
	}
	if newest := d.tooOld(); newest != "" {
		return fail(types.ErrIncompatibleCNIVersion, "%s knows versions up to %s: set cniVersion to that, or install newer plugins", d.path, newest)
	}
	own := &types.Error{Code: types.ErrInternal, Msg: err.Error()}
	if errors.As(err, &own) && own.Code == types.ErrUnknown {
		own.Code = types.ErrInternal
	}
	return types.NewError(own.Code, fmt.Sprintf("%s: %s", d.name, oneLine(own.Msg)), oneLine(own.Details))
}

// tooOld returns the newest version that the delegate knows, if that of its
// configuration is later, else "".
func (d *delegate) tooOld() string {
	wanted, err := new(version.ConfigDecoder).Decode(d.stdin)
	if err != nil {
		return ""
	}
	info, err := invoke.GetVersionInfo(context.Background(), d.path, nil)
	if err != nil {
		return ""
	}
	newest := "0.1.0"
	for _, v := range info.SupportedVersions() {
		if later, err := version.GreaterThan(v, newest); err == nil && later {
			newest = v
		}
	}
	if later, err := version.GreaterThan(wanted, newest); err != nil || !later {
		return ""
	}
	return newest
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
