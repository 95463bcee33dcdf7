// SPDX-License-Identifier: Apache-2.0

package view

import "testing"

func TestUsageIsThatOfThisProcess(t *testing.T) {
	if p := process(); p.Descriptors < 3 || p.Memory < 1<<20 {
		t.Errorf("got %+v", p)
	}
}
