// SPDX-License-Identifier: Apache-2.0

package peers

import "flanneld/peers/internal/statedir"

// NewKey returns a new cluster key: 32 random bytes in base64, without a line
// end.
func NewKey() (string, error) { return statedir.NewKey() }

// CheckKey reports whether the key file can be used: nil, or an error of
// [ErrKey] that says what to do. The file may still change before [Open].
func CheckKey(path string) error {
	_, err := statedir.ReadKey(path)
	return ofState(err)
}
