// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestTableForPeople(t *testing.T) {
	r := example()
	golden(t, "table.md", r.text())
}

func TestHeadlinesForTheReadme(t *testing.T) {
	r := example()
	golden(t, "headlines.md", r.headlines())
}
