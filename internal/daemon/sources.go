// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"flanneld/internal/config"
	"flanneld/internal/discover"
	"flanneld/peers"
)

// sources makes what finds nodes to join.
func sources(given []config.Source) []peers.Source {
	var all []peers.Source
	for _, s := range given {
		switch s.Kind {
		case config.SourceSRV:
			all = append(all, discover.NewSRV(s.Argument))
		case config.SourceExec:
			all = append(all, discover.Command{Line: s.Argument})
		}
	}
	return all
}
