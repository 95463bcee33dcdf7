// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// SocketName is the control socket's name in the run directory.
const SocketName = "flanneld.sock"

const (
	// maxConns is how many callers are served at once; more wait their turn.
	maxConns = 32
	// socketMode: the group that owns the socket may use it.
	socketMode fs.FileMode = 0o660
	// maxSocketPath is sockaddr_un's 108 bytes less the terminating zero.
	maxSocketPath = 107
	// probeTime is how long a socket that is there already may take to accept.
	probeTime = time.Second
)

// listener accepts on the control socket: maxConns at a time, each with a
// verdict on its caller.
type listener struct {
	*net.UnixListener
	path  string
	made  os.FileInfo // the socket that was made at path
	slots chan struct{}
}

// inPlace reports whether the socket at path is the one that was made.
func (l *listener) inPlace() bool {
	info, err := os.Lstat(l.path)
	return err == nil && os.SameFile(info, l.made)
}

// conn is one connection. verdict is what the caller is told, nil to go ahead.
type conn struct {
	*net.UnixConn
	verdict error
	release func()
}

// listen makes the socket. One that a killed daemon left is replaced; one that
// still answers is another daemon's, and an error.
func listen(path string) (*listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control: path of the socket %s is longer than %d bytes: choose a shorter --run-dir", path, maxSocketPath)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("control: listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: set the mode of %s: %w", path, err)
	}
	made, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("control: look at %s: %w", path, err)
	}
	return &listener{UnixListener: l, path: path, made: made, slots: make(chan struct{}, maxConns)}, nil
}

// clearStale removes a socket that no process listens on any more.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control: look at %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control: %s is there and is no socket: move it away", path)
	}
	if Answers(path) {
		return fmt.Errorf("control: another flanneld answers on %s: stop it, or give this one a --run-dir of its own", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control: remove the stale socket %s: %w", path, err)
	}
	return nil
}

// Answers reports whether some process listens on the socket at path. Where
// that cannot be told (no permission to connect, a full queue) it says yes.
func Answers(path string) bool {
	c, err := net.DialTimeout("unix", path, probeTime)
	if err == nil {
		c.Close()
		return true
	}
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
}

// Accept waits for a free slot, then for a caller.
func (l *listener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.AcceptUnix()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &conn{UnixConn: c, verdict: l.judge(c), release: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *listener) judge(c *net.UnixConn) error {
	process, err := callerOf(c)
	if err != nil {
		return err
	}
	owner, err := ownerOf(l.path)
	if err != nil {
		return err
	}
	return process.admit(os.Getuid(), owner)
}

// Close gives the slot back.
func (c *conn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}
