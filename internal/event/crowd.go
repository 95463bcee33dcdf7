// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"flanneld/internal/control"
)

// Of each class of events so many become entries of their own: crowdBurst at
// once, and then one each crowdEvery.
const (
	crowdBurst = 20
	crowdEvery = 6 * time.Second
)

// class is what events of many nodes have in common.
type class struct{ kind, what string }

// crowd bounds the entries of a class.
type crowd struct {
	limiter *rate.Limiter
	entry   *entry // for those beyond the bound; nil: none now
}

// crowdOf returns the crowd that an event has to join, nil where it can have an
// entry of its own.
func (l *Log) crowdOf(e control.Event, now time.Time) *crowd {
	of := class{e.Kind, e.What}
	c := l.crowds[of]
	if c == nil {
		c = &crowd{limiter: rate.NewLimiter(rate.Every(crowdEvery), crowdBurst)}
		l.crowds[of] = c
	}
	if c.limiter.AllowN(now, 1) {
		return nil
	}
	return c
}

// join adds an event to the crowd's entry. Its text names the last one.
func (c *crowd) join(l *Log, e control.Event) {
	text := e.Text
	e.Node, e.Prefix, e.Path, e.Subject = control.NodeName{}, zeroPrefix, "", crowdSubject
	e.Text = fmt.Sprintf("many at once, the last: %s", text)
	if c.entry != nil && e.Time.Sub(c.entry.last()) < again {
		l.repeat(c.entry, e)
		return
	}
	c.entry = l.insert(e)
}

// crowdSubject marks the entry of a crowd.
const crowdSubject = "many"
