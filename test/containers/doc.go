// SPDX-License-Identifier: Apache-2.0

// Package containers holds scenarios of containers as people run them, with
// the runtimes and plugins of others on hosts made of namespaces (package lab).
// They need root and the build tag e2e:
//
//	go test -tags e2e ./test/containers
package containers
