// SPDX-License-Identifier: Apache-2.0

// Command pause holds the namespaces of a pod: it waits until it is stopped.
package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	<-stop
}
