// SPDX-License-Identifier: Apache-2.0

//go:build !man

// Command flanneld joins the containers of many Linux hosts into one IP
// network: the daemon (flanneld run) and the commands that talk to it.
package main

import (
	"context"
	"os"

	"flanneld/internal/cni"
)

func main() {
	if cni.Called(os.Args[0]) { // once for each container: commands are not set up
		os.Exit(cni.Main(version))
	}
	os.Exit(execute(context.Background(), os.Args[1:], env{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv, environ: os.Environ(), color: isTerminal(os.Stdout),
	}))
}
