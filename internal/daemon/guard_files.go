package daemon

import (
	"bytes"
	"fmt"
	"os"

	"flanneld/internal/host/envfile"
	"flanneld/internal/host/rundir"
	"flanneld/internal/problem"
)

// file is one that other programs read, with what it should hold.
type file struct {
	path    string
	content []byte
}

// inPlace reports whether the file is there and holds what it should.
func (f file) inPlace() bool {
	have, err := os.ReadFile(f.path)
	return err == nil && bytes.Equal(have, f.content)
}

// ensureFiles writes again what was removed or changed in the run directory.
func (g *guard) ensureFiles(t *target, files []file) {
	var found []problem.Problem
	for _, f := range files {
		if f.inPlace() || t.ctx.Err() != nil {
			continue
		}
		err := rundir.Make(g.runDir)
		if err == nil {
			err = envfile.Write(f.path, f.content)
		}
		if err != nil {
			found = append(found, problem.Problem{
				Text: fmt.Sprintf("%s was removed or changed and cannot be written: %v", f.path, err), Advice: fileAdvice(f.path),
			})
			continue
		}
		g.log.Warn("file was removed or changed by another program, written again", "file", f.path)
	}
	g.problems.Report("files", found...)
}

// fileAdvice says what lets a file be written again.
func fileAdvice(path string) string {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return fmt.Sprintf("mv %s %s.old (a directory is in the file's place); it is tried again", path, path)
	}
	return "make room or the directory writable; it is tried again"
}

// keepSocket makes the control socket again where it was removed.
func (g *guard) keepSocket() {
	if g.server.InPlace() {
		g.problems.Report("control")
		return
	}
	err := rundir.Make(g.runDir)
	if err == nil {
		err = g.server.Renew()
	}
	if err != nil {
		g.problems.Report("control", problem.Problem{Text: err.Error(), Advice: "commands cannot reach this daemon; it is tried again"})
		return
	}
	g.log.Warn("control socket was removed by another program, made again", "directory", g.runDir)
}

// fileHas reports whether a file has a line.
func fileHas(path, line string) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for have := range bytes.Lines(content) {
		if string(bytes.TrimSpace(have)) == line {
			return true
		}
	}
	return false
}
