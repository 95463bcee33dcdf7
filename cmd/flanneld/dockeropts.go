// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"flanneld/internal/host/docker"
	"flanneld/internal/host/envfile"
)

func dockerOptsCommand(e env) *cobra.Command {
	var options docker.Options
	var from, to, part string
	var pools poolOptions
	c := &cobra.Command{
		Use:   "docker-opts",
		Short: "Turn subnet.env into options for dockerd",
		Long: `Turn subnet.env into options for dockerd, with the options and the output of flannel's
mk-docker-opts.sh. No daemon is needed. The daemon writes the same file by itself: --docker-file
and --docker-key of flanneld run set its path and its variable.

Two things differ from the script. Without -d this command prints, and the script writes
/run/docker_opts.env. If subnet.env is missing or not in shell syntax, this command fails with exit
status 1 and leaves the file of -d unchanged. The script exits with 0 and empties that file, so
that dockerd starts on a subnet of its own.

--part gives docker0 a part of the lease, as --docker-part of flanneld run does. --json prints what
daemon.json (/etc/docker/daemon.json) needs so that Docker makes all its networks, those of docker
compose among them, from what docker0 leaves of the lease. Put it there by hand, and restart dockerd:
an option that dockerd gets on its command line as well must not be in the file.`,
		Example: "  dockerd $(flanneld docker-opts -c -k OPTS | sed 's/^OPTS=\"\\(.*\\)\"$/\\1/')",
		Args:    exactly(),
	}
	flags := c.Flags()
	flags.StringVarP(&from, "env-file", "f", "", "subnet.env to read (default RUN-DIR/subnet.env)")
	flags.StringVarP(&to, "docker-file", "d", "", "file to write (default standard output)")
	flags.BoolVarP(&options.Individual, "individual", "i", false, "one variable an option only")
	flags.BoolVarP(&options.Combined, "combined", "c", false, "one variable with all options only")
	flags.StringVarP(&options.Key, "key", "k", docker.DefaultKey, "name of the variable with all options")
	flags.BoolVarP(&options.NoIPMasq, "no-ip-masq", "m", false, "leave --ip-masq out")
	flags.StringVar(&part, "part", "", "part of the lease that docker0 gets: 1/1, 1/2, 3/4, or none (default 1/1)")
	pools.add(c)
	at := addTarget(c, "subnet-file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := at.load(e)
		if err != nil {
			return err
		}
		if from == "" {
			from = cfg.SubnetPath()
		}
		if part != "" {
			if options.Part, err = docker.ParsePart(part); err != nil {
				return usage("--part %s: %v", part, err)
			}
		}
		if err := pools.check(c); err != nil {
			return err
		}
		env, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is not there: flanneld writes it once it has a lease; name another with -f", from)
		}
		if err != nil {
			return err
		}
		var content []byte
		if pools.json {
			content, err = pools.content(c.Context(), e, env, part != "", options.Part, cfg.DockerPath())
		} else {
			options.Existing, _ = e.lookup(options.Key)
			content, err = docker.Opts(env, options)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if to != "" {
			return envfile.Write(to, content)
		}
		_, err = e.out.Write(content)
		return err
	}
	return c
}
