// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"flanneld/internal/control"
)

// daemon answers on the control socket with a status.
func (r *runtime) daemon(s control.Status) {
	r.t.Helper()
	socket, err := net.Listen("unix", r.path(control.SocketName))
	if err != nil {
		r.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(s) })}
	go server.Serve(socket)
	r.t.Cleanup(func() { server.Close() })
}

func wellStatus() control.Status {
	return control.Status{
		Lease:   control.Lease{State: "confirmed", Subnet: netip.MustParsePrefix("10.244.7.0/24")},
		Members: control.Members{Alive: 3}, Paths: control.Paths{Works: 2},
	}
}

func TestStatusAsksTheDaemon(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*control.Status)
		code   uint
		words  string
	}{
		{"all is well", func(*control.Status) {}, 0, ""},
		{"no lease yet", func(s *control.Status) { s.Lease = control.Lease{State: "claiming", Waiting: "waiting for promises"} }, 50, "no lease: waiting for promises"},
		{"the lease is lost", func(s *control.Status) { s.Lease.State = "lost" }, 50, "no lease"},
		{"another lease", func(s *control.Status) { s.Lease.Subnet = netip.MustParsePrefix("10.244.9.0/24") }, 50, "10.244.9.0/24"},
		{"alone", func(s *control.Status) { s.Members, s.Paths = control.Members{Alive: 1}, control.Paths{} }, 0, ""},
		{"half is away", func(s *control.Status) { s.Paths = control.Paths{Works: 1, Failed: 1} }, 0, ""},
		{"most is away", func(s *control.Status) { s.Paths = control.Paths{Works: 1, Failed: 2} }, 51, "2 of 3 other hosts are not reached"},
		{"most is dead", func(s *control.Status) { s.Members.Dead, s.Paths = 2, control.Paths{Unproven: 1} }, 51, "2 of 3 other hosts"},
		{"all just started", func(s *control.Status) { s.Paths = control.Paths{Unproven: 2} }, 0, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRuntime(t)
			s := wellStatus()
			c.change(&s)
			r.daemon(s)
			if c.code == 0 {
				r.must("STATUS", r.conf(`"cniVersion":"1.1.0"`))
				if !strings.HasPrefix(r.calls(), "STATUS") {
					t.Error("the delegate was not asked")
				}
				return
			}
			r.refused("STATUS", r.conf(`"cniVersion":"1.1.0"`), c.code, c.words)
		})
	}
}

func TestStatusWithoutADaemon(t *testing.T) {
	r := newRuntime(t)
	conf := r.conf(`"cniVersion":"1.1.0"`)
	r.refused("STATUS", conf, 50, "no flanneld answers on "+r.path(control.SocketName))
	r.daemon(wellStatus())
	r.delegate("bridge", `echo '{"code":50,"msg":"no addresses"}'; exit 1`)
	r.refused("STATUS", conf, 50, "bridge: no addresses")
	r.refused("STATUS", r.conf(`"cniVersion":"1.1.0","delegate":{"type":"none"}`), 50, "plugin none is not in CNI_PATH")
	r.refused("STATUS", r.conf(`"cniVersion":"1.1.0","runDir":"/nowhere"`), 50, "/nowhere/flanneld.sock")
	if err := os.Remove(r.path("subnet.env")); err != nil {
		t.Fatal(err)
	}
	r.refused("STATUS", conf, 50, "subnet.env is not there")
}
