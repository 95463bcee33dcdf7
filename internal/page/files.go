// SPDX-License-Identifier: Apache-2.0

package page

import (
	"embed"
	"net/http"
	"path"
)

// The page, and uPlot 1.6.32 (https://github.com/leeoniya/uPlot, MIT; its
// license is files/uplot.LICENSE), which draws the traffic.
//
//go:embed files
var files embed.FS

// types are the media types of what is served beside index.html, by the end of
// the name.
var types = map[string]string{
	".css":     "text/css; charset=utf-8",
	".js":      "text/javascript; charset=utf-8",
	".svg":     "image/svg+xml",
	".LICENSE": "text/plain; charset=utf-8",
}

func index(w http.ResponseWriter, _ *http.Request) {
	serve(w, "index.html", "text/html; charset=utf-8")
}

func file(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	media, ok := types[path.Ext(name)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	serve(w, name, media)
}

func serve(w http.ResponseWriter, name, media string) {
	content, err := files.ReadFile(path.Join("files", name))
	if err != nil {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(content) // the caller went away
}
