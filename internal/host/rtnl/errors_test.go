// SPDX-License-Identifier: Apache-2.0

//go:build linux

package rtnl

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorsThatMeanAlreadySoAreNone(t *testing.T) {
	if err := Ignore(fmt.Errorf("wrapped: %w", unix.EEXIST), unix.EEXIST); err != nil {
		t.Error(err)
	}
	if err := Ignore(unix.EPERM, unix.EEXIST); !errors.Is(err, unix.EPERM) {
		t.Errorf("got %v", err)
	}
	if err := Ignore(nil, unix.EEXIST); err != nil {
		t.Error(err)
	}
}
