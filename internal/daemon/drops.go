// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"flanneld/internal/dataplane"
	"flanneld/route"
)

// eachDrop calls do with every kind of drop, as status names it, and with what
// it means.
func eachDrop(do func(kind, meaning string)) {
	egress, ingress := route.Reasons()
	for _, r := range egress {
		do(dataplane.DropKind("egress", r), r.Meaning())
	}
	for _, r := range ingress {
		do(dataplane.DropKind("ingress", r), r.Meaning())
	}
}

// dropKinds names every kind of drop.
func dropKinds() (kinds []string) {
	eachDrop(func(kind, _ string) { kinds = append(kinds, kind) })
	return kinds
}

// dropMeaning says what each kind of drop means.
func dropMeaning() func(kind string) string {
	meanings := map[string]string{}
	eachDrop(func(kind, meaning string) { meanings[kind] = meaning })
	return func(kind string) string { return meanings[kind] }
}
