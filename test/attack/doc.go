// Package attack attacks running daemons the way a stranger does: it speaks
// memberlist's and flanneld's formats without being a node. It has its own
// encoder of both, because flanneld's refuses to write what an attacker sends.
//
// Each attack has a name, a position from which it starts, and a bound on what
// it may achieve: memory, processor time, members, leases. docs/security.md
// lists them with the figures.
package attack
