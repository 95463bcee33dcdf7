// SPDX-License-Identifier: Apache-2.0

package doctor

import "flanneld/internal/problem"

// oneLine makes one line of a text that may have come from anywhere.
func oneLine(text string) string { return problem.OneLine(text) }
