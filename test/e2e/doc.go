// SPDX-License-Identifier: Apache-2.0

// Package e2e holds flanneld's end-to-end tests: real daemons on hosts made of
// namespaces (package lab), each test named after the behavior it protects.
// They need root and the build tag e2e:
//
//	go test -tags e2e ./test/e2e
package e2e
