// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package ports

// Table does nothing here.
type Table struct{}

// New returns ErrPlatform.
func New(string, uint32) (*Table, error) { return nil, ErrPlatform }

// Ensure returns ErrPlatform.
func (*Table) Ensure(Config) ([]string, error) { return nil, ErrPlatform }

// Check returns ErrPlatform.
func (*Table) Check() ([]string, error) { return nil, ErrPlatform }

// Remove returns ErrPlatform.
func Remove(string) error { return ErrPlatform }

// Created returns false.
func (*Table) Created() bool { return false }
