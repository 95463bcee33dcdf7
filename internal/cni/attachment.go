// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
)

// usualInterface is the name that runtimes give a container's first interface.
const usualInterface = "eth0"

// attachment is one interface of one container.
//
// ADD keeps the delegate's configuration in a file of its own for each, so that
// DEL undoes what was done, whatever lease this host has by then. For eth0 the
// file is named as flannel's plugin names it, CONTAINERID, so that either
// plugin can delete what the other has added. Any other interface has
// CONTAINERID:IFNAME: neither may contain a colon.
type attachment struct{ container, iface string }

func (a attachment) file(dir string) string {
	if a.iface == usualInterface {
		return filepath.Join(dir, a.container)
	}
	return filepath.Join(dir, a.container+":"+a.iface)
}

// attachmentOf is the attachment that a file is for.
func attachmentOf(file string) attachment {
	container, iface, other := strings.Cut(file, ":")
	if !other {
		iface = usualInterface
	}
	return attachment{container, iface}
}

// keep writes the delegate's configuration for DEL. It is not synced: if the
// machine loses power, the containers are gone as well, and DEL manages
// without.
func (a attachment) keep(dir string, delegated []byte) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(a.file(dir), delegated, 0o600)
	}
	if err != nil {
		return fail(types.ErrIOFailure, "cannot keep what DEL needs: %v; make the folder writable, or set dataDir in the network configuration", err)
	}
	return nil
}

// kept reads what keep has written, with over laid over it. Without a file it
// is fs.ErrNotExist.
func (a attachment) kept(dir string, over map[string]any) (map[string]any, error) {
	text, err := os.ReadFile(a.file(dir))
	if err != nil {
		return nil, err
	}
	return decode(text, over)
}

// forget removes the file. One that is not there is no error.
func (a attachment) forget(dir string) error {
	if err := os.Remove(a.file(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(types.ErrIOFailure, "cannot remove what was kept for DEL: %v", err)
	}
	return nil
}

// attachments lists the files of a folder. A folder that is not there has none.
func attachments(dir string) (all []attachment, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fail(types.ErrIOFailure, "cannot list what was kept for DEL: %v", err)
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			all = append(all, attachmentOf(entry.Name()))
		}
	}
	return all, nil
}
