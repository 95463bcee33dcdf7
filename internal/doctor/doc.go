// SPDX-License-Identifier: Apache-2.0

// Package doctor looks at everything that can keep flanneld, or the traffic of
// containers, from working, and says for each thing what to type.
//
// It works with a daemon and without one. A running daemon is asked over the
// control socket: it knows the data paths and keeps the parts of the host. What
// it does not look at is looked at here: settings, kernel, disk, other
// programs. Without a daemon, the parts are compared with subnet.env, and what
// a start would stumble over is named.
//
// Nothing on the host is changed. What cannot be looked at, without rights
// or without a program, is reported as such, and never as well.
package doctor
