package peers

import (
	"errors"
	"io/fs"

	"flanneld/peers/internal/core"
)

// remembered is what the last start left in the state directory.
type remembered struct {
	identity core.Identity
	vault    []byte // nil: none
	table    []byte // nil: none
	before   core.Remembered
	amnesia  bool // there was a vault, and it is lost
}

// load reads the state directory. joining says that seeds were given, so that what was lost can be learned from the others.
func (d *stateDir) load(joining bool) (remembered, error) {
	var r remembered
	identity, made, err := d.identity()
	if err != nil {
		return r, err
	}
	r.identity = identity
	if r.table, err = d.loadTable(joining); err != nil {
		return r, err
	}
	if err := d.loadVault(&r, joining); err != nil {
		return r, err
	}
	if r.vault == nil && !made && joining {
		r.amnesia = true
	}
	return r, nil
}

func (d *stateDir) loadVault(r *remembered, joining bool) error {
	vault, err := vaultFormat.read(d)
	if err == nil && vault != nil {
		r.before, err = core.Peek(vault)
	}
	switch {
	case err != nil && isUnreadable(err):
		return stateFailure(d.path, err)
	case isNewer(err):
		return d.newer(vaultFile, err)
	case err != nil && joining:
		r.amnesia = true
		return d.keepAside(vaultFile, err, "the lease is asked for again")
	case err != nil:
		return failure(ErrStateCorrupt, "%s is corrupt (%v): restore it, or name a node of the network with --join to learn from it; to begin anew, remove the file",
			d.file(vaultFile), err)
	case vault == nil && r.table != nil && !joining:
		return failure(ErrStateCorrupt, "%s is missing, though there is a node table beside it: restore it, or name a node of the network with --join; to begin anew, remove %s",
			d.file(vaultFile), d.file(tableFile))
	}
	r.vault = vault
	return nil
}

// loadTable reads the node table. A corrupt one is no reason not to start: the lease is not in it.
func (d *stateDir) loadTable(joining bool) ([]byte, error) {
	table, err := tableFormat.read(d)
	switch {
	case err == nil:
		return table, nil
	case isUnreadable(err):
		return nil, stateFailure(d.path, err)
	case isNewer(err):
		return nil, d.newer(tableFile, err)
	}
	return nil, d.dropTable(err, joining)
}

// dropTable keeps a corrupt node table aside. Without it and without seeds this node finds nobody: the others have to find it.
func (d *stateDir) dropTable(why error, joining bool) error {
	consequence := "it is pulled again from the seeds"
	if !joining {
		consequence = "until another node gets in touch this one knows nobody; name one with --join or `flanneld join`"
	}
	return d.keepAside(tableFile, why, consequence)
}

func (d *stateDir) keepAside(name string, why error, consequence string) error {
	aside, err := d.setAside(name)
	if err != nil {
		return err
	}
	d.log.Warn("state file is corrupt and was set aside", "file", d.file(name), "kept", aside, "reason", why, "consequence", consequence)
	return nil
}

func (d *stateDir) newer(name string, why error) error {
	return failure(ErrStateNewer, "%s was written by a newer flanneld (%v): use that one; the file is left as it is", d.file(name), why)
}

func isNewer(err error) bool {
	var newer newerError
	return errors.As(err, &newer)
}

// isUnreadable tells a file that the system does not let us read from one with the wrong content.
func isUnreadable(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}
