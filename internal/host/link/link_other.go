// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package link

import "context"

// Ensure returns ErrPlatform.
func Ensure(Config) ([]string, error) { return nil, ErrPlatform }

// Check returns ErrPlatform.
func Check(Config) ([]string, error) { return nil, ErrPlatform }

// Owned returns ErrPlatform.
func Owned(string) (Owner, error) { return Absent, ErrPlatform }

// Remove returns ErrPlatform.
func Remove(string) error { return ErrPlatform }

// EnableForwarding returns ErrPlatform.
func EnableForwarding() (bool, error) { return false, ErrPlatform }

// Watch returns ErrPlatform.
func Watch(context.Context) (<-chan struct{}, error) { return nil, ErrPlatform }

// Forwards returns ErrPlatform.
func Forwards(string) (bool, error) { return false, ErrPlatform }

// EnsureForwarding returns ErrPlatform.
func EnsureForwarding(string) ([]string, error) { return nil, ErrPlatform }

// CheckForwarding returns ErrPlatform.
func CheckForwarding(string) ([]string, error) { return nil, ErrPlatform }

// ForwardingEnabled returns ErrPlatform.
func ForwardingEnabled() (bool, error) { return false, ErrPlatform }
