// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"os"
	"strings"
)

// modules is what the kernel and its package say of modules.
type modules struct {
	loaded  string       // /proc/modules
	lists   []moduleList // of the folder of modules
	symbols []byte       // of the kernel, where there is no list
}

// moduleList is a file with a path of a module at the beginning of each line.
type moduleList struct{ state, text string }

// modules reads what there is for a release of the kernel. err is why the
// release is not known.
func (e *exam) modules(release string, err error) (m modules) {
	m.loaded, _ = e.read("/proc/modules")
	if err != nil {
		return m
	}
	for _, l := range []struct{ file, state string }{{"modules.builtin", "built in"}, {"modules.dep", "on disk"}} {
		if text, err := e.read("/lib/modules/" + release + "/" + l.file); err == nil {
			m.lists = append(m.lists, moduleList{l.state, text})
		}
	}
	if len(m.lists) == 0 {
		m.symbols, _ = os.ReadFile(e.file("/proc/kallsyms"))
	}
	return m
}

// state is loaded, built in, on disk, absent, or "" where it cannot be told. A
// kernel without a folder of modules has what it needs built in.
func (m modules) state(module string) string {
	if strings.Contains("\n"+m.loaded, "\n"+module+" ") {
		return "loaded"
	}
	for _, l := range m.lists {
		for line := range strings.Lines(l.text) {
			path, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			base := path[strings.LastIndexByte(path, '/')+1:]
			if stem, _, _ := strings.Cut(base, "."); strings.ReplaceAll(stem, "-", "_") == module {
				return l.state
			}
		}
	}
	if len(m.lists) == 0 {
		return m.builtin(module)
	}
	return "absent"
}

// symbolOf is a function of each module that is looked for.
var symbolOf = map[string]string{"nf_tables": "nft_do_chain", "vxlan": "vxlan_xmit", "ipip": "ipip_rcv"}

// builtin finds a module by what it makes, where the kernel has no list. The
// kernel shows it in /sys/module only if it has parameters or a version.
func (m modules) builtin(module string) string {
	symbol := symbolOf[module]
	switch {
	case symbol == "" || len(m.symbols) == 0:
		return ""
	case bytes.Contains(m.symbols, []byte(" "+symbol+"\n")), bytes.Contains(m.symbols, []byte(" "+symbol+"\t")):
		return "built in"
	}
	return "absent"
}
