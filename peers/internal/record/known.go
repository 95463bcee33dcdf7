// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"hash/maphash"
)

// knownRecords finds the records of a table by their bytes: most of what comes
// in has come before, and need not be decoded or verified again.
type knownRecords map[uint64][]byte

func (k knownRecords) has(raw []byte) bool { return bytes.Equal(k[HashOf(raw)], raw) }

func (k knownRecords) add(raw []byte) { k[HashOf(raw)] = raw }

func (k knownRecords) drop(raw []byte) { delete(k, HashOf(raw)) }

var hashSeed = maphash.MakeSeed()

// HashOf is a hash that other processes cannot foresee. It finds what is known
// already, and decides nothing.
func HashOf(b []byte) uint64 { return maphash.Bytes(hashSeed, b) }
