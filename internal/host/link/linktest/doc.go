// SPDX-License-Identifier: Apache-2.0

// Package linktest runs a package's tests in a network namespace of their own,
// so that they may change devices, routes and rules at will: everything
// vanishes with the process. It needs root, and fails without.
package linktest
