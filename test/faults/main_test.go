// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"os"
	"testing"

	"flanneld/test/lab"
)

func TestMain(m *testing.M) {
	lab.Enter(lab.Build)
	os.Exit(m.Run())
}
