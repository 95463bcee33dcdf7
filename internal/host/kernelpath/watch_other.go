// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kernelpath

import "context"

// Watch returns ErrPlatform.
func (*Part) Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }
