// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/internal/kubernetes/kubernetestest"
)

var testEndpoint = netip.MustParseAddrPort("192.0.2.1:8286")

// asks asks once, and wants the answer.
func asks(t *testing.T, c *Cluster, id string, want bool, says string) {
	t.Helper()
	yes, reason, err := c.MayFound(t.Context(), id, testEndpoint)
	if err != nil {
		reason = err.Error()
	}
	if yes != want || says == "" && reason != "" || !strings.Contains(reason, says) || strings.Contains(reason, "\n") {
		t.Errorf("%s/%s: %t, %q; want %t, %q", c.Node, id, yes, reason, want, says)
	}
}

// patient lets a Lease that is to be taken over be old enough.
func patient(c *Cluster) {
	if c.waiting != nil {
		c.waiting.since = c.waiting.since.Add(-takeOverAfter)
	}
}

func TestTheNodeThatCreatesTheLeaseFounds(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "")
	s.AddNode("b", "192.0.2.2", "")
	a, b := testCluster(t, s, "a"), testCluster(t, s, "b")
	asks(t, a, "id-a", true, "")
	asks(t, b, "id-b", false, "Node a is to found the network (Lease flanneld/flanneld)")
	for _, text := range []string{`"holderIdentity":"a/id-a"`, `"flanneld/network":"10.244.0.0/16"`, `"flanneld/seed":"192.0.2.1:8286"`, `"flanneld/node-uid":"uid-1"`, `"renewTime":"20`} {
		if l := s.Lease(testNamespace, DefaultLease); !strings.Contains(l, text) {
			t.Errorf("no %s in %s", text, l)
		}
	}
	// It was stopped before it had founded, and asks again.
	asks(t, testCluster(t, s, "a"), "id-a", true, "")
}

// However many nodes ask at once, one founds.
func TestOneOfManyFounds(t *testing.T) {
	s := testServer(t)
	founders := make(chan string, 100)
	var all sync.WaitGroup
	for i := range 20 {
		name := fmt.Sprintf("n%d", i)
		s.AddNode(name, "192.0.2.1", "")
		c := testCluster(t, s, name)
		all.Go(func() {
			for range 5 {
				yes, _, err := c.MayFound(t.Context(), "id", testEndpoint)
				if err != nil {
					t.Error(err)
				}
				if yes {
					founders <- name
					return
				}
			}
		})
	}
	all.Wait()
	if n := len(founders); n != 1 {
		t.Errorf("%d nodes found", n)
	}
}

func TestALeaseIsTakenOverFromAHolderThatIsGone(t *testing.T) {
	for what, gone := range map[string]func(*kubernetestest.Server){
		"its Node is deleted":   func(s *kubernetestest.Server) { s.DeleteNode("a") },
		"its Node is made anew": func(s *kubernetestest.Server) { s.AddNode("a", "192.0.2.1", "") },
	} {
		t.Run(what, func(t *testing.T) {
			s := testServer(t)
			for _, n := range []string{"a", "b", "c"} {
				s.AddNode(n, "192.0.2.1", "")
			}
			asks(t, testCluster(t, s, "a"), "id-a", true, "")
			gone(s)
			b, c := testCluster(t, s, "b"), testCluster(t, s, "c")
			asks(t, b, "id-b", false, "Node a, which was to found the network, is gone: taking over its Lease flanneld/flanneld soon")
			asks(t, c, "id-c", false, "is gone")
			patient(b)
			asks(t, b, "id-b", true, "")
			patient(c)
			asks(t, c, "id-c", false, "Node b is to found")
			if l := s.Lease(testNamespace, DefaultLease); !strings.Contains(l, `"leaseTransitions":1`) {
				t.Error(l)
			}
		})
	}
}

// The holder's disk was replaced: what it founded is lost, where no other node
// has it.
func TestANodeWhoseIdentityIsLostTakesItsLeaseOver(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "")
	s.AddNode("b", "192.0.2.2", "")
	asks(t, testCluster(t, s, "a"), "id-1", true, "")
	a := testCluster(t, s, "a")
	asks(t, a, "id-2", false, "is gone")
	patient(a)
	asks(t, a, "id-2", true, "")

	// Not while another node has the network.
	if err := testCluster(t, s, "b").Report(t.Context(), "82d62ae3", netip.MustParsePrefix("10.244.7.0/24")); err != nil {
		t.Fatal(err)
	}
	a = testCluster(t, s, "a")
	asks(t, a, "id-3", false, "is gone")
	patient(a)
	asks(t, a, "id-3", false, "Node b is in network 82d62ae3 (annotation flanneld/network) and does not answer")
	asks(t, a, "id-3", false, "Node b is in network")
	s.DeleteNode("b")
	asks(t, a, "id-3", true, "")
}

// The operator has deleted the Lease of a network that is there.
func TestADeletedLeaseMakesNoSecondNetwork(t *testing.T) {
	s := testServer(t)
	for i := range 1200 {
		s.AddNode(fmt.Sprintf("n%04d", i), "192.0.2.1", "")
	}
	if err := testCluster(t, s, "n1100").Report(t.Context(), "82d62ae3", netip.MustParsePrefix("10.244.7.0/24")); err != nil {
		t.Fatal(err)
	}
	asks(t, testCluster(t, s, "n0000"), "id", false, "Node n1100 is in network 82d62ae3")
	if err := testCluster(t, s, "n1100").Unmark(t.Context()); err != nil {
		t.Fatal(err)
	}
	asks(t, testCluster(t, s, "n0000"), "id", true, "")
}

// Between its last look and the founding, another node took the Lease over.
func TestTheLastWordIsTheServers(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "")
	s.AddNode("b", "192.0.2.2", "")
	a := testCluster(t, s, "a")
	asks(t, a, "id-a", true, "")
	s.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			s.PutLease(testNamespace, DefaultLease, kubernetestest.Object{"spec": kubernetestest.Object{"holderIdentity": "b/id-b"},
				"metadata": kubernetestest.Object{"annotations": kubernetestest.Object{noteNetwork: "10.244.0.0/16", noteUID: "uid-2"}}})
		}
		return false
	})
	asks(t, a, "id-a", false, "Lease flanneld/flanneld has just been changed by another node")
	asks(t, a, "id-a", false, "Node b is to found")
}

func TestALeaseThatDoesNotFitIsAnErrorOfConfiguration(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "10.9.0.0/24")
	lease := func(holder, network string) {
		s.PutLease(testNamespace, DefaultLease, kubernetestest.Object{"spec": kubernetestest.Object{"holderIdentity": holder},
			"metadata": kubernetestest.Object{"annotations": kubernetestest.Object{noteNetwork: network}}})
	}
	try := func(says string, edit func(*Cluster)) {
		t.Helper()
		c := testCluster(t, s, "a")
		if edit != nil {
			edit(c)
		}
		yes, _, err := c.MayFound(t.Context(), "id", testEndpoint)
		if yes || !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("%t, %v; want %q", yes, err, says)
		}
	}
	lease("b/id", "10.9.0.0/16")
	try("Lease flanneld/flanneld is of network 10.9.0.0/16, and --network says 10.8.0.0/16", func(c *Cluster) { c.Network = netip.MustParsePrefix("10.8.0.0/16") })
	for _, holder := range []string{"", "b", "b/", "/id"} {
		lease(holder, "10.9.0.0/16")
		try("is not one of flanneld's: name another with --join k8s:NAME", nil)
	}
	lease("b/id", "")
	try("is not one of flanneld's", nil)
	s.DeleteLease(testNamespace, DefaultLease)
	try("Node a has the podCIDR 10.9.0.0/24, which is not in the default network 10.244.0.0/16: give --network the --cluster-cidr", func(c *Cluster) {
		if _, err := c.Own(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Each request that is refused leaves the question open, and names the rule.
func TestNothingIsFoundedWhileARequestFails(t *testing.T) {
	for _, rule := range []struct{ verb, resource string }{
		{"get", "nodes"}, {"get", "leases"}, {"create", "leases"}, {"update", "leases"}, {"list", "nodes"},
	} {
		s := testServer(t)
		s.AddNode("a", "192.0.2.1", "")
		s.Allow = func(c kubernetestest.Call) bool { return c.Verb != rule.verb || c.Resource != rule.resource }
		c := testCluster(t, s, "a")
		asks(t, c, "id", false, fmt.Sprintf("refuses to %s %s (403): give the service account the rule", rule.verb, rule.resource))
		s.Allow = nil
		asks(t, c, "id", true, "")
	}
	s := testServer(t)
	c := testCluster(t, s, "a")
	asks(t, c, "id", false, "the cluster has no Node a: give the name that `kubectl get nodes` shows with --node-name or NODE_NAME")
	s.Away()
	asks(t, c, "id", false, "is away: connection refused")
}

func TestOwnIsWhatTheClusterSaysOfThisNode(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "10.244.0.0/24")
	c := testCluster(t, s, "a")
	if o, err := c.Own(t.Context()); err != nil || o != (Own{PodCIDR: netip.MustParsePrefix("10.244.0.0/24")}) {
		t.Errorf("%+v, %v", o, err)
	}
	spec := func(edit kubernetestest.Object) {
		s.EditNode("a", func(n kubernetestest.Object) { n["spec"] = edit })
	}
	spec(kubernetestest.Object{"podCIDR": "fd00:1::/64", "podCIDRs": []any{"fd00:1::/64", "10.244.3.0/24"}})
	if o, err := c.Own(t.Context()); err != nil || o.PodCIDR != netip.MustParsePrefix("10.244.3.0/24") {
		t.Errorf("%+v, %v", o, err)
	}
	for _, cidr := range []string{"fd00:1::/64", "10.244.3.1/24", "x\ny"} {
		spec(kubernetestest.Object{"podCIDR": cidr})
		if _, err := c.Own(t.Context()); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", cidr, err)
		}
	}
	spec(kubernetestest.Object{})
	if o, err := c.Own(t.Context()); err != nil || o != (Own{}) {
		t.Errorf("%+v, %v", o, err)
	}
	s.EditNode("a", func(n kubernetestest.Object) {
		n["metadata"].(kubernetestest.Object)["creationTimestamp"] = time.Now().UTC().Format(time.RFC3339)
		n["metadata"].(kubernetestest.Object)["annotations"] = kubernetestest.Object{noteNetwork: "82d62ae3"}
	})
	if o, err := c.Own(t.Context()); err != nil || o != (Own{Young: true, Mark: "82d62ae3"}) {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAReportIsRepeatedUntilTheServerHasIt(t *testing.T) {
	s := testServer(t)
	s.AddNode("a", "192.0.2.1", "")
	s.EditNode("a", func(n kubernetestest.Object) {
		n["status"].(kubernetestest.Object)["conditions"] = []any{
			kubernetestest.Object{"type": "NetworkUnavailable", "status": "True"}, kubernetestest.Object{"type": "Ready", "status": "True"}}
	})
	failures := 2
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		failures--
		if failures >= 0 {
			w.WriteHeader(503)
		}
		return failures >= 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	r := NewReporter(testCluster(t, s, "a"), testLog(t))
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	r.Set("old", netip.MustParsePrefix("10.244.1.0/24"))
	r.Set("82d62ae3", netip.MustParsePrefix("10.244.7.0/24"))
	for late := time.Now().Add(20 * time.Second); !strings.Contains(s.Node("a"), `"flanneld/network":"82d62ae3"`); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal(s.Node("a"))
		}
	}
	n := s.Node("a")
	if strings.Count(n, `"NetworkUnavailable"`) != 1 || !strings.Contains(n, `"reason":"FlanneldIsUp","status":"False"`) || !strings.Contains(n, `"Ready"`) || !strings.Contains(n, "10.244.7.0/24") {
		t.Error(n)
	}
	cancel()
	<-done
}
