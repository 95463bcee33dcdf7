package peers

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"flanneld/peers/internal/core"
)

// Reset is what [ResetState] has given up, and what it keeps.
type Reset struct {
	Node      string       // ID of the identity that is kept; "" where there was no state
	Network   string       // ID of the network that was given up; "" where the node was in none
	Prefix    netip.Prefix // of that network
	Subnet    netip.Prefix // asked for at the next start; zero: none is remembered
	Others    int          // nodes whose subnets this one keeps for them, for an hour
	SetAside  []string     // files that could not be read, by their new names
	WasInside bool         // there was a network or a node table to give up
}

// ResetState makes a stopped node give up its network: leases, promises and
// node table. The identity stays, and so does the wish for the subnet. The next
// start joins or founds a network as a newcomer, and claims that subnet first.
// It also keeps, for an hour of each start, the subnets of the other nodes that
// were known, so that no newcomer takes them.
//
// Nothing is changed where the directory is in use ([ErrStateLocked]) or was
// written by a newer version ([ErrStateNewer]). Neither is it where the
// identity cannot be read ([ErrStateCorrupt]), or the directory cannot be
// written to ([ErrState]). A crash on the way leaves the old state or the new
// one; the call may be repeated.
func ResetState(dir string, log *slog.Logger) (Reset, error) {
	if !hasState(dir) {
		return Reset{}, nil
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d, err := openStateDir(dir, log)
	if err != nil {
		return Reset{}, err
	}
	r, err := d.reset()
	return r, errors.Join(err, d.Close())
}

// hasState reports whether there is a file of a node, or something in the way
// of finding out.
func hasState(dir string) bool {
	for _, name := range []string{identityFile, vaultFile, tableFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func (d *stateDir) reset() (Reset, error) {
	if _, err := os.Lstat(d.file(identityFile)); errors.Is(err, fs.ErrNotExist) {
		return Reset{}, failure(ErrStateCorrupt, "%s is missing, though there is other state beside it: restore it; or remove %s and %s, and this host becomes a new node",
			d.file(identityFile), d.file(vaultFile), d.file(tableFile))
	}
	identity, _, err := d.identity()
	if err != nil {
		return Reset{}, err
	}
	r := Reset{Node: identity.ID().String()}
	vault, err := d.readForReset(vaultFormat, &r)
	if err != nil {
		return r, err
	}
	table, err := d.readForReset(tableFormat, &r)
	if err != nil {
		return r, err
	}
	after, given, err := core.Reset(identity.ID(), vault, table)
	if err != nil { // its content is none of ours, whatever the checksum says
		if err := d.asideForReset(vaultFile, &r); err != nil {
			return r, err
		}
		if after, given, err = core.Reset(identity.ID(), nil, table); err != nil {
			return r, failure(ErrStateCorrupt, "%v", err)
		}
	}
	// The vault first: without a network in it the table of the last one is
	// of no account.
	if err := d.write(vaultFile, vaultFormat.encode(after)); err != nil {
		return r, stateFailure(d.path, err)
	}
	if err := d.remove(tableFile); err != nil {
		return r, stateFailure(d.path, err)
	}
	r.Subnet, r.Others, r.WasInside = given.Subnet, given.Others, given.Network.Prefix.IsValid() || table != nil
	if n := given.Network; n.Prefix.IsValid() {
		r.Network, r.Prefix = n.ID().String(), n.Prefix
	}
	return r, nil
}

// readForReset reads a state file, nil where there is none; one that is corrupt
// is set aside.
func (d *stateDir) readForReset(f stateFile, r *Reset) ([]byte, error) {
	content, err := f.read(d)
	switch {
	case err == nil:
		return content, nil
	case isUnreadable(err):
		return nil, stateFailure(d.path, err)
	case isNewer(err):
		return nil, d.newer(f.name, err)
	}
	return nil, d.asideForReset(f.name, r)
}

func (d *stateDir) asideForReset(name string, r *Reset) error {
	aside, err := d.setAside(name)
	if err == nil {
		r.SetAside = append(r.SetAside, aside)
	}
	return err
}
