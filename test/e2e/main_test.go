// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"testing"

	"flanneld/test/lab"
)

func TestMain(m *testing.M) {
	lab.Enter(func() ([]string, error) {
		env, err := lab.Build()
		if err != nil {
			return nil, err
		}
		docker, err := lab.FetchDocker()
		return append(env, docker...), err
	})
	os.Exit(m.Run())
}
