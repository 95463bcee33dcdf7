// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"os"
	"testing"

	"flanneld/test/lab"
)

func TestMain(m *testing.M) {
	lab.Enter(func() (env []string, err error) {
		for _, prepare := range []func() ([]string, error){lab.Build, lab.FetchCNI, lab.FetchNetavark, lab.FetchDocker} {
			more, err := prepare()
			if err != nil {
				return nil, err
			}
			env = append(env, more...)
		}
		return env, nil
	})
	os.Exit(m.Run())
}
