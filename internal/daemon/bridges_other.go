//go:build !linux

package daemon

import "errors"

// bridges: there are none of ours where flanneld does not run.
func bridges() ([]bridge, error) { return nil, errors.New("bridges: supported on Linux only") }
