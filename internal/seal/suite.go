// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"runtime"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"
)

// Suite is a pair of ciphers: one for the handshake and one for the data, both
// of the same kind.
type Suite uint8

const (
	AESGCM     Suite = 1 // AES-256-GCM
	ChaChaPoly Suite = 2 // ChaCha20-Poly1305
)

// String is the name for users.
func (s Suite) String() string {
	switch s {
	case AESGCM:
		return "aes-256-gcm"
	case ChaChaPoly:
		return "chacha20-poly1305"
	}
	return fmt.Sprintf("suite %d", uint8(s))
}

func (s Suite) known() bool { return s == AESGCM || s == ChaChaPoly }

// Preferred returns the suites of this host, the fastest first. The standard
// library has AES-GCM in assembly where the processor has instructions for AES
// and for carry-less multiplication. Elsewhere AES is slow, and its tables leak
// time, so ChaCha20 comes first.
func Preferred() []Suite {
	fast := false
	switch runtime.GOARCH {
	case "amd64":
		fast = cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ && cpu.X86.HasSSE41
	case "arm64":
		fast = cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || runtime.GOOS == "darwin"
	}
	if fast {
		return []Suite{AESGCM, ChaChaPoly}
	}
	return []Suite{ChaChaPoly, AESGCM}
}

// choose returns the suite that an initiator proposes. A host that allows only
// one suite gets it. Two hosts that are fastest with the same suite use that.
// Otherwise one host has no instructions for AES, and ChaCha20 costs both
// little.
func choose(ours, theirs []Suite) Suite {
	switch {
	case len(ours) == 1:
		return ours[0]
	case len(theirs) == 1:
		return theirs[0]
	case len(theirs) > 0 && ours[0] == theirs[0]:
		return ours[0]
	}
	return ChaChaPoly
}

// aead returns the cipher of a stream.
func (s Suite) aead(key *[keySize]byte) (cipher.AEAD, error) {
	if s == ChaChaPoly {
		return chacha20poly1305.New(key[:])
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

var (
	noiseAESGCM     = noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)
	noiseChaChaPoly = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
)

func (s Suite) noise() noise.CipherSuite {
	if s == ChaChaPoly {
		return noiseChaChaPoly
	}
	return noiseAESGCM
}
