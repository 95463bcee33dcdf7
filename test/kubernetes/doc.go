// SPDX-License-Identifier: Apache-2.0

// Package kubernetes runs flanneld in a real cluster: kubelets with containerd
// on machines made of namespaces, and the control plane. `make kubernetes` runs
// its tests, which have a build tag of their own. The components are built from
// the module in the directory components, which is no part of flanneld's.
package kubernetes
