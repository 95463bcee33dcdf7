// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"flanneld/internal/host/envfile"
	"flanneld/internal/host/podman"
)

func podmanCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "podman",
		Short: "Make a podman network over this host's subnet",
	}
	c.AddCommand(podmanNetworkCommand(e))
	return c
}

func podmanNetworkCommand(e env) *cobra.Command {
	var from, directory string
	c := &cobra.Command{
		Use:   "network [NAME]",
		Short: "Print or write the file of a podman network over this host's subnet",
		Long: fmt.Sprintf(`Print the file by which podman knows a network over this host's subnet, or write it to
DIRECTORY/NAME.json with -d. NAME is %s unless another is given. Podman looks into
%s. No daemon is needed.

Podman refuses to make such a network itself, because flannel0 has an address in the subnet. After
the host got another subnet, write the file again and start the containers anew.`, podman.DefaultName, podman.Directory),
		Example: fmt.Sprintf("  flanneld podman network -d %s\n  podman run --network %s ...", podman.Directory, podman.DefaultName),
		Args:    atMost("NAME"),
	}
	flags := c.Flags()
	flags.StringVarP(&from, "env-file", "f", "", "subnet.env to read (default RUN-DIR/subnet.env)")
	flags.StringVarP(&directory, "directory", "d", "", "directory to write NAME.json to (default standard output)")
	at := addTarget(c, "subnet-file")
	c.RunE = func(_ *cobra.Command, args []string) error {
		name := podman.DefaultName
		if len(args) == 1 {
			name = args[0]
		}
		if err := podman.CheckName(name); err != nil {
			return usage("%v", err)
		}
		if from == "" {
			cfg, err := at.load(e)
			if err != nil {
				return err
			}
			from = cfg.SubnetPath()
		}
		content, err := podmanFile(name, from)
		if err != nil {
			return err
		}
		if directory == "" {
			_, err = e.out.Write(content)
			return err
		}
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
		return envfile.Write(filepath.Join(directory, name+".json"), content)
	}
	return c
}

// podmanFile is the file of a network for the lease in a subnet.env. It dates
// from that file.
func podmanFile(name, from string) ([]byte, error) {
	subnet, err := envfile.Read(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: flanneld writes it once it has a lease; name another with -f", from)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	return podman.File(name, subnet, info.ModTime())
}
