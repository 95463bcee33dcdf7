// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"flanneld/test/lab"
)

// knockVariable makes the test program send something and end, so that it can
// be sent by another user: "udp ADDR:PORT HEX" or "tcp ADDR:PORT".
const knockVariable = "FLANNELD_ATTACK_KNOCK"

func TestMain(m *testing.M) {
	if what := os.Getenv(knockVariable); what != "" {
		if err := knock(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	lab.Enter(lab.Build)
	os.Exit(m.Run())
}

// knock opens a connection to an address and sends a payload if there is one.
func knock(what string) error {
	var network, address, payload string
	if n, err := fmt.Sscan(what, &network, &address, &payload); n < 2 {
		return fmt.Errorf("%q: %w", what, err)
	}
	conn, err := net.DialTimeout(network, address, 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	b, err := hex.DecodeString(payload)
	if err != nil {
		return err
	}
	for i := 0; i < 3 && len(b) > 0; i++ {
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}
