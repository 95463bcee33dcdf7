// SPDX-License-Identifier: Apache-2.0

// Package kubernetes asks the API server of a cluster what a node of a network
// needs: the addresses of the other nodes, which node founds the network, and
// the subnet that the controller manager gives to this node. It also reports to
// the cluster that the network is there.
//
// It speaks HTTP itself. A client library would bring hundreds of packages for
// seven requests. None of these is needed while traffic flows, nor for a start
// from disk.
package kubernetes
