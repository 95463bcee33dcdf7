// SPDX-License-Identifier: Apache-2.0

package packet

import "math"

// BytesPortably is Bytes on a machine that has no sumWide.
func (s Sum) BytesPortably(b []byte) Sum {
	from := wideFrom
	wideFrom = math.MaxInt
	s = s.Bytes(b)
	wideFrom = from
	return s
}
