// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"
)

// ErrConfig means that time mends nothing: a setting does not fit the cluster.
var ErrConfig = errors.New("configuration")

// configError is an ErrConfig with a text of its own.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }
func (e *configError) Unwrap() error { return ErrConfig }

func misfit(format string, args ...any) error { return &configError{fmt.Sprintf(format, args...)} }

// Error is a request that the API server has not answered, or has refused.
type Error struct {
	Code int // of HTTP; 0: no answer that can be used

	server  string
	request request
	message string // the server's
	cause   error  // where Code is 0
}

var (
	errTooLarge = errors.New("answers with more than 16 MiB")
	errNotJSON  = errors.New("answers with something else than JSON: is that an API server?")
)

// Unwrap returns what kept the request from being answered.
func (e *Error) Unwrap() error { return e.cause }

// Error returns one line that says what to do.
func (e *Error) Error() string {
	what := fmt.Sprintf("the API server %s", e.server)
	asked := e.request.verb + " " + e.request.resource
	switch {
	case e.Code == http.StatusForbidden:
		return fmt.Sprintf("%s refuses to %s (403): give the service account the rule {apiGroups: [%q], resources: [%q], verbs: [%q]}, as dist/kubernetes/flanneld.yaml does",
			what, asked, e.request.group, e.request.resource, e.request.verb)
	case e.Code == http.StatusUnauthorized:
		return fmt.Sprintf("%s does not accept the pod's token (401): has its service account been deleted?", what)
	case e.Code >= 500, e.Code == http.StatusTooManyRequests:
		return fmt.Sprintf("%s cannot %s now (%d)%s", what, asked, e.Code, behind(": ", e.message))
	case e.Code != 0:
		return fmt.Sprintf("%s answers %s with %d%s", what, asked, e.Code, behind(": ", e.message))
	}
	return what + " " + e.unanswered()
}

// unanswered says why there is no answer.
func (e *Error) unanswered() string {
	var timeout net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(e.cause, errTooLarge), errors.Is(e.cause, errNotJSON):
		return e.cause.Error()
	case errors.Is(e.cause, syscall.ECONNREFUSED):
		return "is away: connection refused"
	case errors.Is(e.cause, context.DeadlineExceeded), errors.As(e.cause, &timeout) && timeout.Timeout():
		return fmt.Sprintf("does not answer within %s", requestTime)
	case errors.As(e.cause, &certificate):
		return "has a certificate that the ca.crt of the service account does not vouch for: " + oneLine(certificate.Err.Error())
	case errors.Is(e.cause, fs.ErrNotExist), errors.Is(e.cause, fs.ErrPermission):
		return "cannot be asked without the service account: " + oneLine(e.cause.Error())
	}
	return "is away: " + oneLine(e.cause.Error())
}

// hasCode reports whether the API server has answered with a status.
func hasCode(err error, code int) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// statusMessage is the message of a Status object, "" where there is none.
func statusMessage(body []byte) string {
	var status struct{ Message string }
	_ = json.Unmarshal(body, &status) // a proxy may answer in HTML
	return oneLine(status.Message)
}

// longest is how much of a text of the server's is shown, in runes.
const longest = 200

// oneLine makes a text of the server's printable, on one line and not long.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return strings.TrimSpace(text)
}

// behind puts a separator before a text that is not empty.
func behind(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
