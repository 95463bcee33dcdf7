// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package doctor

import "errors"

func statfs(string) (space, error) { return space{}, errors.New("not supported on this system") }
