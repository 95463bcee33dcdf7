// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"os"
	"testing"

	"flanneld/test/lab"
)

// preparations run on the machine's own network. Files with more build tags add
// theirs.
var preparations = []func() ([]string, error){lab.Build, lab.FetchCNI, lab.FetchNetavark, lab.FetchDocker}

func TestMain(m *testing.M) {
	lab.Enter(func() (env []string, err error) {
		for _, prepare := range preparations {
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
