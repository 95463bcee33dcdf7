// Command bench measures flanneld beside plain routing and kernel VXLAN, in one
// run on one machine: two hosts on a bridge with a pod each, once for every
// path. The paths take turns, several rounds, and medians count; ratios to
// VXLAN are the result, because times drift on shared machines. Run it as root
// with `make bench`.
package main
