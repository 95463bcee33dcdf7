// SPDX-License-Identifier: Apache-2.0

// Command figures measures membership with real daemons, in namespaces of one
// machine. It measures how long a claim takes, and how long until a change is
// known everywhere, until a death is noticed, and until tables are equal after
// a cut. Moments are taken from the daemons' logs, to the millisecond. No
// daemon is queried during a measurement. Run it as root with `make figures`.
package main
