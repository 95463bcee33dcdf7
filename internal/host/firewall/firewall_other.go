// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package firewall

import (
	"context"

	"flanneld/internal/host/ruleset"
)

// Firewall does nothing here.
type Firewall struct{}

// New returns ErrPlatform.
func New(Config) (*Firewall, error) { return nil, ErrPlatform }

// Translate does nothing.
func (*Firewall) Translate(bool) bool { return false }

// Ensure returns ErrPlatform.
func (*Firewall) Ensure(context.Context) ([]string, error) { return nil, ErrPlatform }

// Adapted returns false.
func (*Firewall) Adapted() bool { return false }

// Check returns ErrPlatform.
func (*Firewall) Check(context.Context) ([]string, error) { return nil, ErrPlatform }

// Remove returns ErrPlatform.
func Remove(context.Context, string) error { return ErrPlatform }

// Concerns returns false.
func (*Firewall) Concerns(ruleset.Change) bool { return false }
