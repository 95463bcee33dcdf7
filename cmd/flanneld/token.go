// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/peers"
)

func tokenCommand(e env) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Print the line to type on the next host, with the cluster key",
		Long: `Print the line to type, as root, on the next host: it writes the cluster key to a file of mode 0600
and starts flanneld there. The command reads the key file of the running daemon, so it needs the
right to read that file. With this line any host can join: do not keep it.

In the line the key is an argument of a command that is built into the shell. So ps does not show
it. Most shells keep no line in their history that begins with a blank.`,
		Args: exactly(),
	}
	at := addTarget(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := at.client(e)
		if err != nil {
			return err
		}
		status, err := client.Status(c.Context())
		if err != nil {
			return err
		}
		line, err := joinLine(status)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.out, line)
		return err
	}
	return c
}

// joinLine is what to type on the next host.
func joinLine(s control.Status) (string, error) {
	if s.Security.KeyFile == "" {
		return "", fmt.Errorf("this network has no cluster key: on the next host type flanneld run --join %s", seedOf(s))
	}
	if !s.Gossip.IsValid() {
		return "", errors.New("this node has no gossip address yet; try again")
	}
	key, err := peers.KeyText(s.Security.KeyFile)
	if err != nil {
		return "", err
	}
	run := []string{"flanneld", "run"}
	if s.Security.DataSealed {
		run = append(run, "--sealed")
	}
	run = append(run, "--join", seedOf(s), "--key-file", quoted(s.Security.KeyFile))
	return fmt.Sprintf(" (umask 077; mkdir -p %s; echo '%s' >%s) && %s",
		quoted(filepath.Dir(s.Security.KeyFile)), key, quoted(s.Security.KeyFile), strings.Join(run, " ")), nil
}

// seedOf is this node as the next one is told to join it.
func seedOf(s control.Status) string {
	if s.Gossip.Port() == config.DefaultGossipPort {
		return s.Gossip.Addr().String()
	}
	return s.Gossip.String()
}

// quoted is a word for the shell.
func quoted(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
