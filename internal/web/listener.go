// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"sync"
)

// listener takes so many callers at once; more wait in the kernel's queue.
type listener struct {
	*net.TCPListener
	slots chan struct{} // one for each caller that is served
	ended chan struct{} // closed with the listener
	once  sync.Once
}

func limited(l *net.TCPListener, callers int) *listener {
	return &listener{TCPListener: l, slots: make(chan struct{}, callers), ended: make(chan struct{})}
}

// Accept waits for a slot, and for a caller to take it.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.ended:
		return nil, net.ErrClosed
	}
	c, err := l.AcceptTCP()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &caller{TCPConn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close ends Accept.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return l.TCPListener.Close()
}

// caller is a connection with its slot. As a TCPConn it can be closed one way,
// so that a refused caller reads why.
type caller struct {
	*net.TCPConn
	release func()
}

// Close gives the slot back.
func (c *caller) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}
