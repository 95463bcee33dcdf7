// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthTime is how long parts of the process may take to answer.
const healthTime = 3 * time.Second

// healthz reports whether the process lives and its loops answer.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTime)
	defer cancel()
	answer(w, s.cfg.Health(ctx))
}

// readyz reports whether the node does its work for containers.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	answer(w, s.ready.get().Missing)
}

// answer says that all is well, or what is not, one line each.
func answer(w http.ResponseWriter, wrong []string) {
	status, text := http.StatusOK, "ok"
	if len(wrong) > 0 {
		status, text = http.StatusServiceUnavailable, strings.Join(wrong, "\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // the caller went away
}
