// SPDX-License-Identifier: Apache-2.0

// Package enginetest is a Docker engine for tests: as much of its API as makes,
// lists and removes networks, on a Unix socket.
package enginetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Network is a network as the API has it.
type Network struct {
	ID         string `json:"Id"`
	Name       string
	Driver     string
	Attachable bool
	IPAM       IPAM
	Options    map[string]string
	Labels     map[string]string
}

// IPAM says which addresses a network has.
type IPAM struct{ Config []Pool }

// Pool is one subnet of a network.
type Pool struct{ Subnet, Gateway string }

// Server is an engine. Its fields may be changed while mu is held by Do.
type Server struct {
	Path string // of its socket

	mu         sync.Mutex
	API        string              // the newest version, such as 1.41
	Networks   []Network           // in the order of their making
	Containers map[string][]string // names, by the ID of their network
	Refuse     string              // the message that every change gets; "": none
	Vanish     bool                // the connection ends in the middle of a change
	Changes    []string            // "create NAME" and "remove NAME"
	Requests   []string            // paths that were asked for

	made int
}

// New starts an engine with docker0's network, which has that subnet.
func New(t testing.TB, api, docker0 string) *Server {
	t.Helper()
	s := &Server{Path: filepath.Join(t.TempDir(), "docker.sock"), API: api, Containers: map[string][]string{}}
	s.Networks = []Network{{ID: strings.Repeat("0", 64), Name: "bridge", Driver: "bridge", IPAM: IPAM{[]Pool{{Subnet: docker0}}},
		Options: map[string]string{"com.docker.network.bridge.name": "docker0"}}}
	listener, err := net.Listen("unix", s.Path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// Do calls f while no request is served.
func (s *Server) Do(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Requests = append(s.Requests, r.URL.Path)
	w.Header().Set("Api-Version", s.API)
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/_ping" {
		return
	}
	_, path, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v"), "/")
	change := r.Method != http.MethodGet
	switch {
	case !ok:
		s.fail(w, http.StatusNotFound, "page not found")
	case change && s.Vanish:
		hijacked, _, _ := w.(http.Hijacker).Hijack()
		hijacked.Close()
	case change && s.Refuse != "":
		s.fail(w, http.StatusForbidden, s.Refuse)
	case path == "networks":
		json.NewEncoder(w).Encode(s.Networks)
	case path == "networks/create":
		s.create(w, r)
	case path == "containers/json":
		s.list(w, r)
	case r.Method == http.MethodDelete && strings.HasPrefix(path, "networks/"):
		s.remove(w, strings.TrimPrefix(path, "networks/"))
	default:
		s.fail(w, http.StatusNotFound, "page not found")
	}
}

func (s *Server) fail(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var n Network
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		s.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.made++
	n.ID = fmt.Sprintf("%064d", s.made)
	s.Networks = append(s.Networks, n)
	s.Changes = append(s.Changes, "create "+n.Name)
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]string{"Id": n.ID})
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	var filters map[string]map[string]bool
	json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
	type container struct {
		ID    string `json:"Id"`
		Names []string
	}
	all := []container{}
	for id, names := range s.Containers {
		for _, name := range names {
			if filters["network"][id] && r.URL.Query().Get("all") == "1" {
				all = append(all, container{"c" + name, []string{"/" + name}})
			}
		}
	}
	json.NewEncoder(w).Encode(all)
}

func (s *Server) remove(w http.ResponseWriter, id string) {
	i := slices.IndexFunc(s.Networks, func(n Network) bool { return n.ID == id })
	switch {
	case i < 0:
		s.fail(w, http.StatusNotFound, "network "+id+" not found")
	case len(s.Containers[id]) > 0:
		s.fail(w, http.StatusForbidden, "network has active endpoints")
	default:
		s.Changes = append(s.Changes, "remove "+s.Networks[i].Name)
		s.Networks = slices.Delete(s.Networks, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	}
}
