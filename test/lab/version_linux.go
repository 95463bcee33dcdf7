// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// OtherVersion returns a copy of the flanneld under test that says it is of
// another version. The version must not be longer than the program's own.
func (l *Lab) OtherVersion(version string) (program string) {
	l.t.Helper()
	program = filepath.Join(l.dir, "flanneld-"+version)
	content, err := os.ReadFile(l.Binary)
	if err == nil {
		err = setVersion(l.Binary, content, version)
	}
	if err == nil {
		err = os.WriteFile(program, content, 0o755)
	}
	if err != nil {
		l.t.Fatalf("make a flanneld of version %s: %v", version, err)
	}
	return program
}

// setVersion changes the variable main.version in the content of a program. It
// has a pointer to the text and the length of that, eight bytes each.
func setVersion(path string, content []byte, version string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Name != "main.version" {
			continue
		}
		variable, err := offsetOf(file, s.Value)
		if err != nil {
			return err
		}
		text, err := offsetOf(file, binary.LittleEndian.Uint64(content[variable:]))
		length := binary.LittleEndian.Uint64(content[variable+8:])
		if err != nil || uint64(len(version)) > length {
			return fmt.Errorf("version of %d bytes at %d: %w", length, text, err)
		}
		copy(content[text:], version)
		binary.LittleEndian.PutUint64(content[variable+8:], uint64(len(version)))
		return nil
	}
	return fmt.Errorf("%s has no variable main.version", path)
}

// offsetOf is where in the file an address is.
func offsetOf(file *elf.File, address uint64) (uint64, error) {
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD && p.Vaddr <= address && address < p.Vaddr+p.Filesz {
			return p.Off + address - p.Vaddr, nil
		}
	}
	return 0, fmt.Errorf("no part of the file is at %#x", address)
}
