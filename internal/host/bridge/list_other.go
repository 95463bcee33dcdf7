// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package bridge

import (
	"errors"
)

// List returns an error: flanneld runs on Linux only.
func List() ([]Bridge, error) { return nil, errors.New("bridge: supported on Linux only") }
