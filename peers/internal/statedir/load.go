// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"errors"
	"io/fs"

	"flanneld/peers/internal/record"
)

// Remembered is what the last start left in the state directory.
type Remembered struct {
	Identity record.Identity
	Lease    []byte // content of the lease file; nil: none
	Table    []byte // content of the node table; nil: none
	Amnesia  bool   // there was a lease file, and it is lost
}

// Load reads the state directory. The identity is made where there is none.
// joining says that seeds were given, so that the node can learn from others
// what was lost. check decodes the content of the lease file; its error counts
// as corruption. Load's errors are an [*Error].
func (d *Dir) Load(joining bool, check func(lease []byte) error) (Remembered, error) {
	var r Remembered
	identity, made, err := d.identity()
	if err != nil {
		return r, err
	}
	r.Identity = identity
	if r.Table, err = d.loadTable(joining); err != nil {
		return r, err
	}
	if err := d.loadLease(&r, joining, check); err != nil {
		return r, err
	}
	if r.Lease == nil && !made && joining {
		r.Amnesia = true
	}
	return r, nil
}

func (d *Dir) loadLease(r *Remembered, joining bool, check func(lease []byte) error) error {
	lease, err := LeaseFile.Read(d)
	if err == nil && lease != nil {
		err = check(lease)
	}
	file := d.file(leaseName)
	switch {
	case err != nil && isUnreadable(err):
		return unusable(d.path, err)
	case isNewer(err):
		return d.newer(leaseName, err)
	case err != nil && joining:
		r.Amnesia = true
		return d.keepAside(leaseName, err, "the lease is asked for again")
	case err != nil:
		return failure(Corrupt, file, "%s is corrupt (%v): restore it, or name a node of the network with --join to learn from it; to start over, remove the file",
			file, err)
	case lease == nil && r.Table != nil && !joining:
		return failure(Corrupt, file, "%s is missing, though there is a node table beside it: restore it, or name a node of the network with --join; to start over, remove %s",
			file, d.file(tableName))
	}
	r.Lease = lease
	return nil
}

// loadTable reads the node table. A corrupt one is no reason not to start: the
// lease is not in it.
func (d *Dir) loadTable(joining bool) ([]byte, error) {
	table, err := TableFile.Read(d)
	switch {
	case err == nil:
		return table, nil
	case isUnreadable(err):
		return nil, unusable(d.path, err)
	case isNewer(err):
		return nil, d.newer(tableName, err)
	}
	return nil, d.DropTable(err, joining)
}

// DropTable sets a corrupt node table aside and logs why. Without it and
// without seeds this node knows no other: the others have to find it.
func (d *Dir) DropTable(why error, joining bool) error {
	consequence := "it is pulled again from the seeds"
	if !joining {
		consequence = "this node knows no other until one gets in touch: name one with --join or `flanneld join`"
	}
	return d.keepAside(tableName, why, consequence)
}

func (d *Dir) keepAside(name string, why error, consequence string) error {
	aside, err := d.setAside(name)
	if err != nil {
		return err
	}
	d.log.Warn("state file is corrupt and was set aside", "file", d.file(name), "kept", aside, "reason", why, "consequence", consequence)
	return nil
}

func (d *Dir) newer(name string, why error) error {
	return failure(Newer, d.file(name), "%s was written by a newer flanneld (%v): use that one; the file is left as it is", d.file(name), why)
}

func isNewer(err error) bool {
	var newer newerError
	return errors.As(err, &newer)
}

// isUnreadable reports whether the system refused the read, as opposed to a
// file with the wrong content.
func isUnreadable(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

// PeekLease returns the content of the lease file of a directory that may be in
// use; nil where there is none, or where it is corrupt. Its error is an
// [*Error].
func PeekLease(path string) ([]byte, error) {
	content, err := LeaseFile.Read(&Dir{path: path})
	if err != nil && isUnreadable(err) {
		return nil, unusable(path, err)
	}
	return content, nil
}
