// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package identity

// table does nothing here.
type table struct{}

func newTable(string) *table { return &table{} }

func bridgesOut() ([]string, error) { return nil, ErrPlatform }

func (*table) ensure(Config, []string) ([]string, error) { return nil, ErrPlatform }

func (*table) check() ([]string, error) { return nil, ErrPlatform }

func (*table) remove() error { return ErrPlatform }

func (*table) exists() bool { return false }
