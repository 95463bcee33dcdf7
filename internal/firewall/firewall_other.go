//go:build !linux

package firewall

// Firewall does nothing here.
type Firewall struct{}

// New returns ErrPlatform.
func New(Config) (*Firewall, error) { return nil, ErrPlatform }

// Ensure returns ErrPlatform.
func (*Firewall) Ensure() ([]string, error) { return nil, ErrPlatform }

// Remove returns ErrPlatform.
func (*Firewall) Remove() error { return ErrPlatform }

// Remove returns ErrPlatform.
func Remove(string) error { return ErrPlatform }
