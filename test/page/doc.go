// SPDX-License-Identifier: Apache-2.0

// Package page opens the page of real daemons in a real Chromium, on hosts made
// of namespaces (package lab), and looks at what is there: healthy networks,
// dead hosts, cuts, conflicts, waiting claims and large networks. axe-core
// checks that a keyboard and a screen reader can use it. The tests make the
// pictures of docs.
//
//	make page
package page
