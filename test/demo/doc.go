// SPDX-License-Identifier: Apache-2.0

// Command demo shows flanneld at work: three hosts on this machine with a
// container each, in namespaces that vanish when it ends. Run it as root with
// `make demo`.
package main
