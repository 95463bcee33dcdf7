// SPDX-License-Identifier: Apache-2.0

// Package faults holds the tests that break things: real daemons on hosts made
// of namespaces (package lab) that are cut off from each other, killed, paused,
// and robbed of their disks. What each must not lose is its lease. They need
// root and the build tag e2e:
//
//	go test -tags e2e ./test/faults
//
// With their defaults they take seconds; `make torture` runs the same tests
// thousands of times over. docs/faults.md has the figures.
package faults
