// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

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
		components, err := prepareComponents()
		return append(env, components...), err
	})
	os.Exit(m.Run())
}
