// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// service is put before a name that is a domain: RFC 2782's form, with the TCP
// port of gossip.
const service = "_flanneld._tcp."

// srvTime bounds one look-up: the resolver's own retries can take half a
// minute.
const srvTime = 5 * time.Second

// SRVResolver looks up SRV records; a [net.Resolver] is one.
type SRVResolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// SRV finds nodes by the SRV records of a name (RFC 2782).
type SRV struct {
	Name     string // as the user gave it
	Resolver SRVResolver
}

// NewSRV makes one that asks the system's resolver.
func NewSRV(name string) SRV { return SRV{Name: name, Resolver: net.DefaultResolver} }

// String is the form that --join takes.
func (s SRV) String() string { return "srv:" + s.Name }

// Record is the name that is looked up: a domain gets a service in front.
func (s SRV) Record() string {
	if strings.HasPrefix(s.Name, "_") {
		return s.Name
	}
	return service + s.Name
}

// Seeds looks the records up. They are sorted by priority, and randomized by
// weight within it.
func (s SRV) Seeds(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, srvTime)
	defer cancel()
	_, records, err := s.Resolver.LookupSRV(ctx, "", "", s.Record())
	if err != nil && len(records) == 0 {
		return nil, s.explain(err)
	}
	return s.targets(records)
}

// targets are the records' hosts and ports. A target of "." says that there is
// no such service.
func (s SRV) targets(records []*net.SRV) ([]string, error) {
	var seeds []string
	for _, r := range records[:min(len(records), maxSeeds)] {
		target := strings.TrimSuffix(r.Target, ".")
		if target == "" || r.Port == 0 {
			continue
		}
		seeds = append(seeds, net.JoinHostPort(target, strconv.Itoa(int(r.Port))))
	}
	if len(seeds) == 0 {
		return nil, fmt.Errorf("the SRV records of %s: %w", s.Record(), errNone)
	}
	return seeds, nil
}

func (s SRV) explain(err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("there are no SRV records of %s: make some, or correct the name", s.Record())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &dns) && dns.IsTimeout:
		return fmt.Errorf("the SRV records of %s were not found within %s: does DNS work on this host?", s.Record(), srvTime)
	}
	return fmt.Errorf("the SRV records of %s cannot be looked up: %w", s.Record(), err)
}
