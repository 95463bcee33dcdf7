// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"flanneld/internal/config"
	"flanneld/internal/discover"
	"flanneld/peers"
)

// sources makes what finds nodes to join.
func (d *daemon) sources() []peers.Source {
	var all []peers.Source
	for _, s := range d.cfg.Sources {
		switch s.Kind {
		case config.SourceKubernetes:
			all = append(all, d.cluster)
		case config.SourceSRV:
			all = append(all, discover.NewSRV(s.Argument))
		case config.SourceExec:
			all = append(all, discover.Command{Line: s.Argument})
		}
	}
	return all
}

// election decides which node founds the network; nil: it is decided by what
// the user gave each node.
func (d *daemon) election() peers.Election {
	if d.cluster == nil {
		return nil
	}
	return election{d.cluster.Cluster}
}
