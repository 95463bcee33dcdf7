// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strings"
	"testing"
)

// Four characters name a node, in upper or lower case.
func TestAnIDIsNamedByItsBeginning(t *testing.T) {
	id := testIdentity(7).ID()
	whole := id.String()
	for text, want := range map[string]bool{
		whole: true, whole[:4]: true, strings.ToUpper(whole[:6]): true,
		"": false, whole[:3]: false, whole[1:]: false, whole + "a": false, " " + whole[:5]: false,
	} {
		if got := id.HasPrefix(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
