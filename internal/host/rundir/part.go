// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"flanneld/internal/problem"
)

// Part is the run directory as a part of the host.
type Part struct{ path string }

// NewPart makes the part for a directory.
func NewPart(path string) Part { return Part{path} }

// Name is "run directory".
func (Part) Name() string { return problem.PartRunDir }

// Ensure makes the directory where it is missing.
func (p Part) Ensure(context.Context) ([]string, error) {
	_, err := os.Stat(p.path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err := Make(p.path); err != nil {
		return nil, err
	}
	if missing {
		return []string{"run directory " + p.path + " was removed"}, nil
	}
	return nil, nil
}

// Check reports a missing directory.
func (p Part) Check(context.Context) ([]string, error) {
	info, err := os.Stat(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []string{"run directory " + p.path + " is missing"}, nil
	case err != nil:
		return nil, fmt.Errorf("run directory: %w", err)
	case !info.IsDir():
		return []string{p.path + " is not a directory"}, nil
	}
	return nil, nil
}

// Remove leaves the directory: the operator or systemd may have made it.
func (Part) Remove(context.Context) error { return nil }
