package peers

import (
	"context"
	"sync/atomic"
)

// Node is this machine's membership in a network. All methods may be called from any goroutine.
type Node struct {
	config   Config
	snapshot atomic.Pointer[Snapshot]
	changes  chan struct{}
}

// Open locks and reads the state directory and makes the identity where there is none yet. Nothing is on
// the network before Run. An opened Node is released by Run, or by Close where Run is never called.
func Open(config Config) (*Node, error) {
	n := &Node{config: config, changes: make(chan struct{}, 1)}
	n.snapshot.Store(&Snapshot{})
	return n, nil
}

// Close releases the state directory of a Node that was never run. After Run it does nothing.
func (n *Node) Close() error { return nil }

// Run gossips, claims a lease and keeps it, until ctx ends or Leave is done, and then returns nil. Any error
// is fatal. It may be called once. When it returns, nothing of it is left: no goroutine, socket or lock.
func (n *Node) Run(ctx context.Context) error { return nil }

// Snapshot returns the newest view, never nil.
func (n *Node) Snapshot() *Snapshot { return n.snapshot.Load() }

// Changes tells that there is a newer Snapshot. It holds one token however many changes there were, is for one reader,
// and is never closed.
func (n *Node) Changes() <-chan struct{} { return n.changes }

// Join adds seeds and tries each once, now. It returns those that answered as nodes of this network; err, where not nil, says for
// each other one why not. All of them stay seeds until the process ends.
func (n *Node) Join(ctx context.Context, addrs []string) (joined []string, err error) {
	return nil, ErrNotRunning
}

// Leave hands the lease back: durably first, then it tells the others, then takes lease and node table out of the state directory.
// The identity stays. Run returns nil after that. When ctx ends early the lease is given up all the same.
func (n *Node) Leave(ctx context.Context) error { return ErrNotRunning }

// Forget strikes out a dead node, so that its subnet becomes free. node is a name, an ID, or the beginning of one ID, at
// least 4 characters of it.
func (n *Node) Forget(ctx context.Context, node string) (NodeInfo, error) {
	return NodeInfo{}, ErrNotRunning
}

// ReloadKey reads the key file again. A key it did not hold before becomes the one to seal with; all earlier ones stay accepted
// until the process ends.
func (n *Node) ReloadKey() error { return nil }
