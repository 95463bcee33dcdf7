// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"

	"flanneld/peers/internal/gossip/wire"
)

// Why a datagram or a stream is refused. Errors of joins use the words of
// joinMeanings, the log uses refusals.
var (
	errNoKeyThere = errors.New("the other side has no cluster key")
	errKeyThere   = errors.New("the other side has a cluster key")
	errNoRoom     = errors.New("more bytes are under way than there is room for")
	errMessage    = errors.New("malformed gossip message")
	errCompressed = errors.New("compressed gossip message")
)

// refusals are the reasons for refused traffic, as an operator reads them.
var refusals = []struct {
	err     error
	meaning string
}{
	{wire.ErrOldFormat, "refused a node that runs flanneld 0.1, which speaks another format: upgrade it"},
	{errNoKeyThere, "refused a node that has no cluster key: give it this network's --key-file"},
	{errKeyThere, "refused a node that has a cluster key: this network is not sealed; give all nodes the same --key-file, or none"},
	{wire.ErrOtherKey, "refused a node that has another cluster key: give all nodes the same --key-file"},
	{wire.ErrForeign, "dropped traffic that is not flanneld's"},
	{errCompressed, "dropped compressed traffic, which no flanneld sends"},
	{errMessage, "dropped traffic that is not flanneld's"},
	{errOtherNetwork, ""}, // the error says it all
	{wire.ErrOtherVersions, ""},
}

// refusal returns what to log about an error, "" for nothing.
func refusal(err error) string {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			if r.meaning == "" {
				return "refused a node: " + err.Error()
			}
			return r.meaning
		}
	}
	return ""
}
