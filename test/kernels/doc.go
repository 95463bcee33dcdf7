// SPDX-License-Identifier: Apache-2.0

// Command kernels runs flanneld's tests on the kernels of Debian's releases. It
// makes a small system of each release, boots it in qemu without hardware
// support, and runs test programs in it that were built beforehand.
//
//	go run ./test/kernels                 every release, every step
//	go run ./test/kernels -short 6.1      what `make test` runs
//	go run ./test/kernels -steps tun 5.10 one step on one kernel
//
// The program is also process 1 of the system that it boots: [guest].
//
//	/dev/vda   the release: its kernel's modules and programs; kept in a cache
//	/dev/vdb   this program, flanneld, the test programs, and the plan
//	ttyS0      the console, kept for the case of a crash
//	ttyS1      what the tests print, which is read and judged here
//
// Everything it needs beyond Go comes from Debian's archive, from the mirror
// that apt on this machine uses. It needs root, because debootstrap does.
package main
