// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"errors"
	"io/fs"
	"os"

	"flanneld/peers/internal/record"
)

// AfterReset is what [Dir.Reset] has found and kept.
type AfterReset struct {
	Node     record.NodeID // of the identity, which is kept
	SetAside []string      // files that could not be read, by their new names
	HadTable bool          // there was a node table
}

// Reset replaces the lease file and removes the node table. renew makes the new
// content of the lease file from the old one and from the table; either is nil
// where there is none. When renew refuses the old content, it is called again
// without. Reset's errors are an [*Error]. A crash on the way leaves the old
// state or the new one; Reset may be repeated.
func (d *Dir) Reset(renew func(node record.NodeID, lease, table []byte) ([]byte, error)) (AfterReset, error) {
	var r AfterReset
	if _, err := os.Lstat(d.file(identityName)); errors.Is(err, fs.ErrNotExist) {
		return r, failure(Corrupt, d.file(identityName), "%s is missing, though there is other state beside it: restore it; or remove %s and %s, and this host becomes a new node",
			d.file(identityName), d.file(leaseName), d.file(tableName))
	}
	identity, _, err := d.identity()
	if err != nil {
		return r, err
	}
	r.Node = identity.ID()
	lease, err := d.readForReset(LeaseFile, &r)
	if err != nil {
		return r, err
	}
	table, err := d.readForReset(TableFile, &r)
	if err != nil {
		return r, err
	}
	r.HadTable = table != nil
	after, err := renew(r.Node, lease, table)
	if err != nil { // the checksum is right and the content is not
		if err := d.asideForReset(leaseName, &r); err != nil {
			return r, err
		}
		if after, err = renew(r.Node, nil, table); err != nil {
			return r, failure(Corrupt, d.file(leaseName), "%v", err)
		}
	}
	// The lease file first: without a network in it the table of the last one
	// is of no account.
	if err := d.Write(LeaseFile, after); err != nil {
		return r, err
	}
	if err := d.remove(tableName); err != nil {
		return r, unusable(d.path, err)
	}
	return r, nil
}

// readForReset reads a state file, nil where there is none. A corrupt one is
// set aside.
func (d *Dir) readForReset(f File, r *AfterReset) ([]byte, error) {
	content, err := f.Read(d)
	switch {
	case err == nil:
		return content, nil
	case isUnreadable(err):
		return nil, unusable(d.path, err)
	case isNewer(err):
		return nil, d.newer(f.name, err)
	}
	return nil, d.asideForReset(f.name, r)
}

func (d *Dir) asideForReset(name string, r *AfterReset) error {
	aside, err := d.setAside(name)
	if err == nil {
		r.SetAside = append(r.SetAside, aside)
	}
	return err
}
