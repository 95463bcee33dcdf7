// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// space is what a file system has left.
type space struct {
	free, size    uint64 // bytes
	inodes, nodes uint64 // left, and in all; 0 in all: there is no limit
	readOnly      bool
}

// Limits of free space. A lease is a file of some kilobytes that is replaced by
// another one, and nothing is promised while it cannot be written.
const (
	lowSpace   = 64 << 20 // bytes; a warning below
	noSpace    = 1 << 20  // bytes; broken below
	lowInodes  = 1000
	byteInUnit = 1 << 20
)

// disk looks at the file systems of the state directory and of the run
// directory.
func (e *exam) disk(context.Context) {
	for _, d := range []struct{ name, path string }{{"state", e.Config.StateDir}, {"run", e.Config.RunDir}} {
		name := d.name + " disk"
		s, at, err := e.spaceAt(d.path)
		if err != nil {
			e.skipErr("host", name, err, "df -h "+d.path)
			continue
		}
		verdict := judgeSpace(s)
		switch text := fmt.Sprintf("%d MB free of %d at %s", s.free/byteInUnit, s.size/byteInUnit, at); {
		case s.readOnly:
			e.broken("host", name, at+" is read-only: no lease can be kept", fmt.Sprintf("find out why (dmesg; mount), then mount -o remount,rw the file system of %s", d.path))
		case verdict == "full":
			e.broken("host", name, text+fmt.Sprintf(", and %d files: no lease can be kept", s.inodes), "remove what is not needed there: df -h "+at+"; df -i "+at)
		case verdict == "low":
			e.warn("host", name, text+fmt.Sprintf(", and room for %d files", s.inodes), "remove what is not needed there: df -h "+at+"; df -i "+at)
		default:
			e.ok("host", name, "%s", text)
		}
	}
}

// judgeSpace is full, low, or "".
func judgeSpace(s space) string {
	switch {
	case s.free < noSpace || s.nodes > 0 && s.inodes == 0:
		return "full"
	case s.free < lowSpace || s.nodes > 0 && s.inodes < lowInodes:
		return "low"
	}
	return ""
}

// spaceAt looks at the file system of a directory, or of the one above where it
// does not exist yet.
func (e *exam) spaceAt(path string) (s space, at string, err error) {
	for at = path; ; at = filepath.Dir(at) {
		s, err = statfs(e.file(at))
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return s, at, err
		}
	}
}
