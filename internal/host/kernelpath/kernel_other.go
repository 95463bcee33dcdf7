// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kernelpath

func openKernel() (kernel, error) { return nil, ErrPlatform }
