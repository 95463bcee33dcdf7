// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package ruleset

import "context"

// Watcher reports nothing here.
type Watcher struct{ Changed <-chan struct{} }

// Take returns an empty change.
func (*Watcher) Take() Change { return Change{} }

// Watch returns ErrPlatform.
func Watch(context.Context) (*Watcher, error) { return nil, ErrPlatform }

// Generation returns ErrPlatform.
func Generation() (uint32, error) { return 0, ErrPlatform }

// Legacy returns ErrPlatform.
func Legacy() (string, error) { return "", ErrPlatform }

// BlockedFlows returns ErrPlatform.
func BlockedFlows(context.Context, []Flow, string) ([]Blocked, error) { return nil, ErrPlatform }

// TranslatedFlows returns ErrPlatform.
func TranslatedFlows([]Flow, int32, string) ([]Blocked, error) { return nil, ErrPlatform }
