package gossip

import (
	"errors"

	"flanneld/peers/internal/gossip/wire"
)

// What a datagram or a stream is refused for. Errors of joins use the words of
// joinMeanings, the log those of refusals.
var (
	errNoKeyThere = errors.New("the other side has no cluster key")
	errKeyThere   = errors.New("the other side has a cluster key")
	errNoRoom     = errors.New("more bytes are under way than there is room for")
	errMessage    = errors.New("malformed gossip message")
	errPacked     = errors.New("compressed gossip message")
)

// refusals are what refused traffic means to an operator.
var refusals = []struct {
	err     error
	meaning string
}{
	{wire.ErrOldFormat, "refused a node that runs flanneld 0.1, which speaks another format: upgrade it"},
	{errNoKeyThere, "refused a node that has no cluster key: give it this network's --key-file"},
	{errKeyThere, "refused a node that has a cluster key: this network is not sealed; give all nodes the same --key-file, or none"},
	{wire.ErrOtherKey, "refused a node that has another cluster key: give all nodes the same --key-file"},
	{wire.ErrForeign, "dropped traffic that is not flanneld's"},
	{errPacked, "dropped compressed traffic, which no flanneld sends"},
	{errMessage, "dropped traffic that is not flanneld's"},
	{errOtherNetwork, ""}, // says it all itself
	{wire.ErrOtherVersions, ""},
}

// refusal is what to tell an operator about an error; "" for nothing.
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
