// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"fmt"

	"flanneld/peers/internal/gossip"
	"flanneld/peers/internal/statedir"
)

// Errors that a caller can distinguish with [errors.Is]. An error that is
// returned has a longer text: one line that names what is at fault and says
// what to do.
var (
	ErrStateLocked       = errors.New("peers: state directory in use")
	ErrStateCorrupt      = errors.New("peers: state file corrupt")
	ErrStateNewer        = errors.New("peers: state file of a newer version")
	ErrState             = errors.New("peers: state directory unusable")
	ErrKey               = errors.New("peers: cluster key unusable")
	ErrDuplicateIdentity = errors.New("peers: another node has this identity")
	ErrSubnetHeld        = errors.New("peers: subnet held by another node")
	ErrLeaseLost         = errors.New("peers: lease lost")
	ErrNetworkMismatch   = errors.New("peers: another network")
	ErrPortTaken         = errors.New("peers: port taken")
	ErrConfig            = errors.New("peers: bad configuration")
	ErrUnknownNode       = errors.New("peers: unknown node")
	ErrNodeAlive         = errors.New("peers: node is alive")
	ErrNotHolder         = errors.New("peers: this node holds no lease")
	ErrNotRunning        = errors.New("peers: not running")
)

// kindError is an error of one of the kinds above with a text of its own.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }

// kinds are this package's errors for the kinds of the state directory's.
var kinds = map[statedir.Kind]error{
	statedir.Unusable: ErrState,
	statedir.Locked:   ErrStateLocked,
	statedir.Corrupt:  ErrStateCorrupt,
	statedir.Newer:    ErrStateNewer,
	statedir.BadKey:   ErrKey,
}

// ofState turns an error of the state directory into one of this package. nil
// stays nil.
func ofState(err error) error {
	var e *statedir.Error
	if errors.As(err, &e) {
		return failure(kinds[e.Kind], "%v", e)
	}
	return err
}

// ofGossip turns an error of gossip into one of this package. nil stays nil.
func ofGossip(err error) error {
	var e *gossip.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return fmt.Errorf("peers: %w", err)
	case e.Kind == gossip.PortTaken:
		return failure(ErrPortTaken, "%v", e)
	}
	return failure(ErrConfig, "%v", e)
}

// failure makes an error of the given kind. The text starts with the package,
// as all of this package's errors do.
func failure(kind error, format string, args ...any) error {
	return &kindError{kind, "peers: " + fmt.Sprintf(format, args...)}
}
