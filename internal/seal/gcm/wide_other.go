// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package gcm

import "crypto/cipher"

// Wide reports whether New uses wide instructions: not on this machine.
func Wide() bool { return false }

// newWide is not called.
func newWide([KeySize]byte) cipher.AEAD { panic("gcm: no wide instructions on this machine") }
