// SPDX-License-Identifier: Apache-2.0

// Package cni is the CNI plugin: container runtimes start it once for each
// operation on a container (https://www.cni.dev/docs/spec/, versions 0.1.0 to
// 1.1.0).
//
// Like flannel's plugin it makes nothing itself. It reads subnet.env, writes
// the configuration of another plugin, the delegate, and runs that: bridge
// with the address plugin host-local, unless the network configuration says
// otherwise. It takes the network configurations that flannel's plugin takes,
// and gives the delegate the same configuration byte for byte.
//
// subnet.env is all that ADD, CHECK and DEL need. Only STATUS asks the daemon.
package cni
