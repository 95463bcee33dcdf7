// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"flanneld/internal/cni"
)

// cniInstallCommand puts the plugin onto the host that an image is run on.
func cniInstallCommand(e env) *cobra.Command {
	var binDir, conf, confDir string
	c := &cobra.Command{
		Use:   "install",
		Short: "Put the CNI plugin and its configuration into a host's folders",
		Long: `Put this program into a folder of CNI plugins as flanneld-cni, and a network configuration list into
the folder of these. It is for an image that has the folders of its host mounted, as the manifest for
Kubernetes does. Files are replaced whole, so it can run while the runtime starts plugins.`,
		Example: "  flanneld cni install --bin-dir /host/opt/cni/bin --conf /etc/flanneld/10-flanneld.conflist --conf-dir /host/etc/cni/net.d",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			if (conf == "") != (confDir == "") {
				return usage("--conf and --conf-dir belong together: give both or none")
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			path, err := cni.InstallProgram(program, binDir)
			if err != nil {
				return fmt.Errorf("--bin-dir %s: %w", binDir, err)
			}
			fmt.Fprintln(e.out, "installed", path)
			if conf == "" {
				return nil
			}
			if path, err = cni.InstallConf(conf, confDir); err != nil {
				return fmt.Errorf("--conf %s: %w", conf, err)
			}
			fmt.Fprintln(e.out, "installed", path)
			return nil
		},
	}
	c.Flags().StringVar(&binDir, "bin-dir", "/opt/cni/bin", "folder of CNI plugins")
	c.Flags().StringVar(&conf, "conf", "", "network configuration list to install")
	c.Flags().StringVar(&confDir, "conf-dir", "", "folder to install it into, as /etc/cni/net.d")
	return c
}
