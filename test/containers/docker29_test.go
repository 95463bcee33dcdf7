// SPDX-License-Identifier: Apache-2.0

//go:build e2e && docker29

package containers

import (
	"testing"

	"flanneld/test/lab"
)

// TestDockerNetworkWithNFTables does with Docker 29, whose nftables backend has
// no DOCKER-USER, what TestDockerNetworkOverTheLease does with older ones.
func TestDockerNetworkWithNFTables(t *testing.T) {
	networkOverTheLease(t, lab.DockerNFTables(t))
}
