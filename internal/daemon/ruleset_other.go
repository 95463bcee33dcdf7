//go:build !linux

package daemon

import (
	"context"
	"errors"
)

// watchRuleset: nftables are Linux's.
func watchRuleset(context.Context) (<-chan struct{}, error) {
	return nil, errors.New("nftables: supported on Linux only")
}
