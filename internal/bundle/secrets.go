// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// removed stands where a secret was.
const removed = "[removed]"

const (
	// minSecret is the shortest text that is looked for, in bytes. A shorter
	// one would be found in many places by chance.
	minSecret = 6
	maxSecret = 64 << 10 // bytes of a file with a secret
	keyWindow = 32       // bytes of a key, wherever in the identity file it is
)

// secretName are names of variables and options that have a secret as a value.
var secretName = regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|auth|key`)

// patterns find what looks like a secret. The first group stays.
var patterns = []*regexp.Regexp{
	regexp.MustCompile(`(://)[^/\s"']*@`),                                 // a user in a URL
	regexp.MustCompile(`(exec:)\s*[^\s"][^\n]*`),                          // a command of --join; Go's own errors have a quote there
	regexp.MustCompile(`(?i)((?:authorization|bearer)["']?[:= ]+)[^\n]+`), // a header
	regexp.MustCompile(`(?i)([\w.-]*(?:secret|token|passw|passphrase|credential|api_?key|private_?key)[\w.-]*["']?\s*[=:]\s*)(?:"[^"\n]*"|'[^'\n]*'|[^\s,;}]+)`),
}

// secrets are texts that must not be in a bundle.
type secrets struct{ all [][]byte }

// add adds a secret in each form in which it could be written.
func (s *secrets) add(secret []byte) {
	if len(secret) < minSecret {
		return
	}
	s.all = append(s.all, secret, []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))))
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		s.all = append(s.all, []byte(e.EncodeToString(secret)))
	}
}

// addFile adds what a file holds, and what that is in base64.
func (s *secrets) addFile(path string) {
	info, err := os.Stat(path)
	if err != nil || info.Size() > maxSecret {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return // it cannot be in the bundle either
	}
	text := bytes.TrimSpace(content)
	s.add(text)
	if raw, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
		s.add(raw)
	}
}

// addKeyFile adds each run of bytes of a binary file that could be its key.
func (s *secrets) addKeyFile(path string) {
	s.addFile(path)
	content, err := os.ReadFile(path)
	if err != nil || len(content) > 1024 {
		return
	}
	for i := 0; i+keyWindow <= len(content); i++ {
		s.add(content[i : i+keyWindow])
	}
}

// addVariables adds the values of variables with the name of a secret.
func (s *secrets) addVariables(environ []string) {
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); secretName.MatchString(name) && !filepath.IsAbs(value) {
			s.add([]byte(value))
		}
	}
}

// sort puts longer secrets first: a part of one may be another.
func (s *secrets) sort() {
	slices.SortFunc(s.all, func(a, b []byte) int { return len(b) - len(a) })
}

// clean takes secrets out of a text.
func (s *secrets) clean(content []byte) []byte {
	for _, secret := range s.all {
		content = bytes.ReplaceAll(content, secret, []byte(removed))
	}
	for _, p := range patterns {
		content = p.ReplaceAll(content, []byte("${1}"+removed))
	}
	return content
}
