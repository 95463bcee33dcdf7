// SPDX-License-Identifier: Apache-2.0

// Command bench measures flanneld beside plain routing, kernel VXLAN and the
// other overlays it finds, in one run on one machine: two hosts on a bridge
// with a pod each, once for every path. The paths take turns for several
// rounds, and medians count. Ratios to VXLAN are the result, because times
// drift on shared machines. Run it as root with `make bench`.
//
// From small to large: a value is what one measurement of one path yields in
// one round. A result is a metric's values over the rounds. A comparison is
// some paths under their settings, side by side. A report is the main
// comparison and its variants. docs/benchmark explains what the figures mean,
// and what limits them.
package main
