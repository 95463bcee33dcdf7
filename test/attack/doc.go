// SPDX-License-Identifier: Apache-2.0

// Package attack attacks running daemons as a stranger does: it uses the
// formats of memberlist and flanneld without being a node. It has its own
// encoders for both, because flanneld's encoders refuse to write what an
// attacker sends.
//
// Each attack has a name, a position from which it starts, and a bound on what
// it may achieve: memory, processor time, members, leases. docs/security.md
// lists them with the figures.
package attack
