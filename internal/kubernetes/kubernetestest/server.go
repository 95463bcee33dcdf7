// SPDX-License-Identifier: Apache-2.0

// Package kubernetestest is an API server for tests: Nodes and Leases, with the
// answers of a real one, and with its failures.
package kubernetestest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Object is an API object as JSON has it.
type Object = map[string]any

// Call is one request as RBAC sees it.
type Call struct{ Verb, Group, Resource, Namespace, Name string }

// Server is an API server in this process. Its fields may be set before it
// serves; the methods may be used at any time.
type Server struct {
	// Allow decides about a request. Nil: all are allowed.
	Allow func(Call) bool

	mu       sync.Mutex
	version  int
	nodes    map[string]Object
	leases   map[string]Object // by namespace/name
	tokens   map[string]bool
	calls    []Call
	answer   func(http.ResponseWriter, *http.Request) bool
	listener net.Listener
	server   *http.Server
	pair     pair
}

// NewServer makes one that accepts a token and serves nothing yet.
func NewServer(token string) *Server {
	return &Server{nodes: map[string]Object{}, leases: map[string]Object{}, tokens: map[string]bool{token: true}}
}

// AddNode registers a Node with an internal address and a podCIDR; "" for none.
// It replaces one of that name, and has another UID.
func (s *Server) AddNode(name, address, podCIDR string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	n := Object{
		"kind": "Node", "apiVersion": "v1",
		"metadata": Object{"name": name, "uid": fmt.Sprint("uid-", s.version), "resourceVersion": strconv.Itoa(s.version),
			"creationTimestamp": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)},
		"spec":   Object{},
		"status": Object{"addresses": []any{Object{"type": "Hostname", "address": name}}},
	}
	if podCIDR != "" {
		n["spec"] = Object{"podCIDR": podCIDR, "podCIDRs": []any{podCIDR}}
	}
	if address != "" {
		n["status"] = Object{"addresses": []any{Object{"type": "InternalIP", "address": address}, Object{"type": "Hostname", "address": name}}}
	}
	s.nodes[name] = n
}

// EditNode changes a Node.
func (s *Server) EditNode(name string, edit func(Object)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s.nodes[name])
}

// DeleteNode removes a Node.
func (s *Server) DeleteNode(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, name)
}

// Node returns a copy of a Node as JSON, "" where there is none.
func (s *Server) Node(name string) string { return s.get(s.nodes, name) }

// Lease returns a copy of a Lease as JSON, "" where there is none.
func (s *Server) Lease(namespace, name string) string { return s.get(s.leases, namespace+"/"+name) }

func (s *Server) get(objects map[string]Object, key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if objects[key] == nil {
		return ""
	}
	text, _ := json.Marshal(objects[key])
	return string(text)
}

// PutLease makes or replaces a Lease, whatever is there.
func (s *Server) PutLease(namespace, name string, l Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(namespace+"/"+name, l)
}

// DeleteLease removes a Lease.
func (s *Server) DeleteLease(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, namespace+"/"+name)
}

// RotateToken accepts another token, and the old one no more.
func (s *Server) RotateToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]bool{token: true}
}

// Answer lets f answer requests first; f returns false for what is to be
// answered as usual. Nil ends that.
func (s *Server) Answer(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Calls returns the requests so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !s.tokens[token] {
		fail(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	call, ok := callOf(r)
	if !ok {
		fail(w, http.StatusNotFound, "the server could not find the requested resource")
		return
	}
	s.calls = append(s.calls, call)
	if s.Allow != nil && !s.Allow(call) {
		fail(w, http.StatusForbidden, fmt.Sprintf("%s %q is forbidden: User cannot %s resource", call.Resource, call.Name, call.Verb))
		return
	}
	switch call.Resource {
	case "nodes":
		s.readNodes(w, r, call)
	case "nodes/status":
		s.patchNode(w, r, call)
	case "leases":
		s.serveLease(w, r, call)
	}
}

// callOf takes a request apart as the API server does.
func callOf(r *http.Request) (Call, bool) {
	verbs := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete"}
	c := Call{Verb: verbs[r.Method]}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && slices.Equal(parts[:3], []string{"api", "v1", "nodes"}):
		c.Resource = "nodes"
		parts = parts[3:]
	case len(parts) >= 6 && parts[0] == "apis" && parts[2] == "v1" && parts[3] == "namespaces" && parts[5] == "leases":
		c.Group, c.Namespace, c.Resource = parts[1], parts[4], "leases"
		parts = parts[6:]
	default:
		return c, false
	}
	if len(parts) > 0 {
		c.Name = parts[0]
	} else if c.Verb == "get" {
		c.Verb = "list"
	}
	if len(parts) > 1 {
		c.Resource += "/" + parts[1]
	}
	return c, len(parts) < 3
}

// readNodes answers get and list. A page begins after the name in continue.
func (s *Server) readNodes(w http.ResponseWriter, r *http.Request, c Call) {
	if c.Verb == "get" {
		if s.nodes[c.Name] == nil {
			fail(w, http.StatusNotFound, fmt.Sprintf("nodes %q not found", c.Name))
			return
		}
		reply(w, http.StatusOK, s.nodes[c.Name])
		return
	}
	names := slices.Sorted(maps.Keys(s.nodes))
	after := r.URL.Query().Get("continue")
	if after == "expired" {
		fail(w, http.StatusGone, "The provided continue parameter is too old")
		return
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n <= after })
	next := ""
	if limit, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil && limit < len(names) {
		names = names[:limit]
		next = names[limit-1]
	}
	items := []any{}
	for _, n := range names {
		if strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			items = append(items, Object{"metadata": s.nodes[n]["metadata"]})
			continue
		}
		items = append(items, s.nodes[n])
	}
	reply(w, http.StatusOK, Object{"kind": "NodeList", "apiVersion": "v1", "metadata": Object{"resourceVersion": strconv.Itoa(s.version), "continue": next}, "items": items})
}

// patchNode merges annotations and conditions.
func (s *Server) patchNode(w http.ResponseWriter, r *http.Request, c Call) {
	n := s.nodes[c.Name]
	var patch struct {
		Metadata struct{ Annotations map[string]*string }
		Status   struct{ Conditions []Object }
	}
	switch {
	case n == nil:
		fail(w, http.StatusNotFound, fmt.Sprintf("nodes %q not found", c.Name))
		return
	case r.Header.Get("Content-Type") != "application/strategic-merge-patch+json":
		fail(w, http.StatusUnsupportedMediaType, "the body of the request was in an unknown format")
		return
	case json.NewDecoder(r.Body).Decode(&patch) != nil:
		fail(w, http.StatusBadRequest, "the patch is no JSON")
		return
	}
	metadata, status := n["metadata"].(Object), n["status"].(Object)
	notes, _ := metadata["annotations"].(Object)
	if notes == nil {
		notes = Object{}
		metadata["annotations"] = notes
	}
	for name, value := range patch.Metadata.Annotations {
		if value == nil {
			delete(notes, name)
			continue
		}
		notes[name] = *value
	}
	conditions, _ := status["conditions"].([]any)
	for _, c := range patch.Status.Conditions {
		conditions = slices.DeleteFunc(conditions, func(o any) bool { return o.(Object)["type"] == c["type"] })
		conditions = append(conditions, c)
	}
	status["conditions"] = conditions
	s.version++
	metadata["resourceVersion"] = strconv.Itoa(s.version)
	reply(w, http.StatusOK, n)
}

// serveLease answers get, create and update, by resource version.
func (s *Server) serveLease(w http.ResponseWriter, r *http.Request, c Call) {
	var sent Object
	if c.Verb != "get" {
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &sent) != nil {
			fail(w, http.StatusBadRequest, "the body is no JSON")
			return
		}
		metadata, _ := sent["metadata"].(Object)
		if name, _ := metadata["name"].(string); c.Verb == "create" {
			c.Name = name
		}
	}
	key := c.Namespace + "/" + c.Name
	there := s.leases[key]
	switch {
	case c.Verb == "create" && there != nil:
		fail(w, http.StatusConflict, fmt.Sprintf("leases.coordination.k8s.io %q already exists", c.Name))
	case c.Verb == "create":
		reply(w, http.StatusCreated, s.store(key, sent))
	case there == nil:
		fail(w, http.StatusNotFound, fmt.Sprintf("leases.coordination.k8s.io %q not found", c.Name))
	case c.Verb == "get":
		reply(w, http.StatusOK, there)
	case sent["metadata"].(Object)["resourceVersion"] != there["metadata"].(Object)["resourceVersion"]:
		fail(w, http.StatusConflict, "the object has been modified; please apply your changes to the latest version and try again")
	default:
		reply(w, http.StatusOK, s.store(key, sent))
	}
}

// store keeps a Lease under a new resource version.
func (s *Server) store(key string, l Object) Object {
	s.version++
	metadata, _ := l["metadata"].(Object)
	if metadata == nil {
		metadata = Object{}
		l["metadata"] = metadata
	}
	metadata["namespace"], metadata["name"], _ = strings.Cut(key, "/")
	metadata["resourceVersion"] = strconv.Itoa(s.version)
	s.leases[key] = l
	return l
}

func reply(w http.ResponseWriter, code int, o Object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o)
}

func fail(w http.ResponseWriter, code int, message string) {
	reply(w, code, Object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
}
