// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net"
	"net/netip"
	"testing"

	"flanneld/internal/kubernetes/kubernetestest"
)

const testToken, testNamespace = "token-1", "flanneld"

// testServer runs an API server on loopback.
func testServer(t *testing.T) *kubernetestest.Server {
	t.Helper()
	s := kubernetestest.NewServer(testToken)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Away)
	return s
}

// testClient makes a client of a pod; the directory has its service account.
func testClient(t *testing.T, s *kubernetestest.Server) (c *Client, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := s.Account(dir, testNamespace, testToken); err != nil {
		t.Fatal(err)
	}
	env := s.Environment()
	c, err := InCluster(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, dir
}

// testCluster is the cluster as one of its nodes sees it.
func testCluster(t *testing.T, s *kubernetestest.Server, node string) *Cluster {
	t.Helper()
	client, _ := testClient(t, s)
	c, err := NewCluster(Config{Client: client, Node: node, Default: netip.MustParsePrefix("10.244.0.0/16"), GossipPort: 8286})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
