// SPDX-License-Identifier: Apache-2.0

//go:build !man

// Command flanneld joins the containers of many Linux hosts into one IP
// network: the daemon (flanneld run) and the commands that talk to it.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], env{
		out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv, environ: os.Environ(), color: isTerminal(os.Stdout),
	}))
}
