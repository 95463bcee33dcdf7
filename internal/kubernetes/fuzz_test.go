// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// Whatever an API server answers, the seeds are IPv4 endpoints, the podCIDR is
// a subnet, and messages are one short line.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"items": [{"metadata": {"name": "b"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.2"}]}}]}`,
		`{"metadata": {"name": "a", "uid": "u", "annotations": {"flanneld/network": "10.244.0.0/16"}}, "spec": {"podCIDR": "10.244.0.0/24"}}`,
		`{"metadata": {"annotations": {"flanneld/seed": "192.0.2.1:8286"}}, "spec": {"holderIdentity": "a/id"}}`,
		`{"kind": "Status", "message": "no\nway"}`, `{"items": 7}`, `[]`, ``, `{"spec": {"podCIDRs": ["fd00::/64", "10.1.1.1/24"]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &Cluster{Config: Config{Node: "a", Lease: DefaultLease, GossipPort: 8286, Default: netip.MustParsePrefix("10.244.0.0/16")}, namespace: "flanneld"}
		oneShortLine := func(text string) {
			t.Helper()
			if strings.ContainsAny(text, "\n\r\x1b\x00") || len(text) > 2000 {
				t.Errorf("%q: %q", body, text)
			}
		}
		var page list
		if json.Unmarshal(body, &page) == nil {
			for _, s := range c.seeds(page.Items) {
				if a, err := netip.ParseAddrPort(s); err != nil || !a.Addr().Is4() {
					t.Errorf("%q: seed %q", body, s)
				}
			}
		}
		var n node
		if json.Unmarshal(body, &n) == nil {
			n.Metadata.Name = "a"
			p, err := podCIDR(&n)
			if err != nil {
				oneShortLine(err.Error())
			}
			if p.IsValid() && (!p.Addr().Is4() || p != p.Masked() || err != nil) {
				t.Errorf("%q: %s, %v", body, p, err)
			}
		}
		var l lease
		if json.Unmarshal(body, &l) == nil {
			if err := c.checkLease(&l); err != nil {
				oneShortLine(err.Error())
			} else if name, id := l.holder(); name == "" || id == "" {
				t.Errorf("%q: holder %q, %q", body, name, id)
			}
		}
		oneShortLine((&Error{server: "https://192.0.2.1:6443", Code: 500, message: statusMessage(body)}).Error())
		oneShortLine((&Error{server: "https://192.0.2.1:6443", cause: errors.New(string(body))}).Error())
	})
}
