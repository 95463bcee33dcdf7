// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A name that other nodes would refuse is refused where it is given.
func TestNamesOfNodesCanBePrinted(t *testing.T) {
	for name, fine := range map[string]bool{
		"": true, "alpha": true, "host-1.example.org": true, "Grüße": true, "節点": true, strings.Repeat("x", MaxNodeName): true,
		strings.Repeat("x", MaxNodeName+1): false, strings.Repeat("ü", MaxNodeName/2+1): false,
		"a b": false, "a\tb": false, "a\nb": false, "a\x00": false, "\x7f": false, "a\u0085b": false, "a\u00a0b": false, "a\u2028b": false,
		"\u202eahpla": false, "a\u200bb": false, "\xff": false, "a\xc3": false,
	} {
		if err := CheckNodeName(name); (err == nil) != fine {
			t.Errorf("%q: %v", name, err)
		}
		if err := CheckNode(name); (err == nil) != (fine && name != "") || err != nil && strings.ContainsAny(err.Error(), "\n\u202e") {
			t.Errorf("node %q: %v", name, err)
		}
	}
}

func TestRequestsAreReadStrictly(t *testing.T) {
	for body, want := range map[string]string{
		`{"node":"beta"}`:            "",
		` {"node":"beta"} ` + "\n":   "",
		`{"node":"beta","more":1}`:   "unknown field",
		`{"node":"beta"}{}`:          "something behind",
		`{"node":"beta"} x`:          "something behind",
		`{"node":"beta"}` + "\x00":   "something behind",
		`["beta"]`:                   "not the JSON expected",
		`"beta"`:                     "not the JSON expected",
		`{"node":["beta"]}`:          "not the JSON expected",
		`{"node":"beta"`:             "not the JSON expected",
		``:                           "not the JSON expected",
		`null`:                       "no node named",
		`{"node":null}`:              "no node named",
		`{}`:                         "no node named",
		`{"node":"a b"}`:             "blanks",
		`{"node":"` + long + `"}`:    "longer than 64 bytes",
		`{"node":"beta","node":"b"}`: "", // the last counts, as everywhere in JSON
	} {
		_, err := decodeForget([]byte(body))
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, err, want)
		}
		if err != nil && (len(err.Error()) > 300 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%.40q: an error of %d bytes", body, len(err.Error()))
		}
	}
}

var long = strings.Repeat("n", 5000)

func TestAddressesToJoinAreCheckedOneByOne(t *testing.T) {
	var seen []string
	check := func(address string) error {
		seen = append(seen, address)
		if address == "bad" || len(address) > 1000 {
			return errors.New("makes no sense")
		}
		return nil
	}
	for body, want := range map[string]string{
		`{"addresses":["a","b"]}`:           "",
		`{"addresses":["a","bad","c"]}`:     `address "bad": makes no sense`,
		`{"addresses":["` + long + `"]}`:    "makes no sense",
		`{"addresses":[null]}`:              "", // is the empty text, which check judges
		`{"addresses":null}`:                "no address",
		`{"addresses":[1]}`:                 "not the JSON expected",
		`{"addresses":"a"}`:                 "not the JSON expected",
		`{"addresses":[` + many(64) + `]}`:  "",
		`{"addresses":[` + many(65) + `]}`:  "65 addresses are too many",
		`{"addresses":[` + many(500) + `]}`: "500 addresses are too many",
	} {
		seen = nil
		r, err := decodeJoin([]byte(body), check)
		if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || len(err.Error()) > 300) {
			t.Errorf("%.40q: %.300v, want %q", body, err, want)
		}
		if err == nil && !reflect.DeepEqual(r.Addresses, seen) {
			t.Errorf("%.40q: took %q, checked %q", body, r.Addresses, seen)
		}
	}
}

// many is a list of n addresses, in JSON.
func many(n int) string { return strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") }

func TestPingsHaveBounds(t *testing.T) {
	good := PingRequest{Node: "beta", Count: 1}
	for name, c := range map[string]struct {
		change func(*PingRequest)
		fine   bool
	}{
		"as it is":        {func(*PingRequest) {}, true},
		"most pings":      {func(r *PingRequest) { r.Count = MaxPings }, true},
		"too many":        {func(r *PingRequest) { r.Count = MaxPings + 1 }, false},
		"none":            {func(r *PingRequest) { r.Count = 0 }, false},
		"fewer than none": {func(r *PingRequest) { r.Count = math.MinInt }, false},
		"smallest":        {func(r *PingRequest) { r.Size = MinPingSize }, true},
		"too small":       {func(r *PingRequest) { r.Size = MinPingSize - 1 }, false},
		"negative":        {func(r *PingRequest) { r.Size = -1 }, false},
		"largest":         {func(r *PingRequest) { r.Size = MaxPingSize }, true},
		"too large":       {func(r *PingRequest) { r.Size = MaxPingSize + 1 }, false},
		"each path":       {func(r *PingRequest) { r.Path = PathNames[len(PathNames)-1] }, true},
		"no path":         {func(r *PingRequest) { r.Path = "host-gw" }, false},
		"a path in caps":  {func(r *PingRequest) { r.Path = "UDP" }, false},
		"no node":         {func(r *PingRequest) { r.Node = "" }, false},
		"an odd node":     {func(r *PingRequest) { r.Node = "a\nb" }, false},
	} {
		r := good
		c.change(&r)
		if err := r.Check(); (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressesOfRoutesAreUnmapped(t *testing.T) {
	for text, want := range map[string]string{
		"10.244.1.2": "10.244.1.2", "::ffff:10.244.1.2": "10.244.1.2", "2001:db8::1": "2001:db8::1",
		"": "", "10.244.1": "", "10.244.1.2/24": "", "fe80::1%eth0": "", "host": "", "010.1.1.1": "", strings.Repeat("1", 5000): "",
	} {
		a, err := decodeAddress(text)
		if (err != nil) != (want == "") || err == nil && a != netip.MustParseAddr(want) {
			t.Errorf("%.40q: %v, %v, want %q", text, a, err, want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%.40q: an error of %d bytes", text, len(err.Error()))
		}
	}
}

func TestNodesAreToldApartInText(t *testing.T) {
	for want, n := range map[string]NodeName{
		"": {}, "alpha": {Name: "alpha"}, "abcdefgh": {ID: "abcdefghijkl"}, "abc": {ID: "abc"},
		"alpha (abcdefgh)": {ID: "abcdefghijkl", Name: "alpha"}, "alpha (abc)": {ID: "abc", Name: "alpha"},
	} {
		if got := n.Text(); got != want {
			t.Errorf("%+v: %q, want %q", n, got, want)
		}
	}
}

func TestSecondsKeepTheirFraction(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, 1500 * time.Microsecond, time.Hour, -time.Second} {
		if got := SecondsOf(d).Duration(); got.Round(time.Microsecond) != d {
			t.Errorf("%v became %v", d, got)
		}
	}
}
