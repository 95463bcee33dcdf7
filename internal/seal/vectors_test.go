// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestNoiseVectors runs the vectors of the library through the functions that
// make this package's handshakes and ciphers. The first data datagram of each
// direction has nonce zero, so the transport messages of the vectors hold the
// ciphers as well.
func TestNoiseVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/noise-vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	ran := map[Suite]int{}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		v := map[string][]byte{}
		suite := Suite(0)
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch {
			case strings.HasPrefix(line, "#"):
			case name == "handshake" && strings.Contains(value, "AESGCM"):
				suite = AESGCM
			case name == "handshake":
				suite = ChaChaPoly
			default:
				if v[name], err = hex.DecodeString(value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if suite != 0 {
			runVector(t, suite, v)
			ran[suite]++
		}
	}
	if ran[AESGCM] != 4 || ran[ChaChaPoly] != 4 {
		t.Errorf("ran %v", ran)
	}
}

func runVector(t *testing.T, suite Suite, v map[string][]byte) {
	t.Helper()
	node := func(static, ephemeral string) *Node {
		n := &Node{private: PrivateKey(v[static]), random: bytes.NewReader(v[ephemeral])}
		n.public = n.private.Public()
		return n
	}
	psk := [keySize]byte(v["preshared_key"])
	i, r := node("init_static", "gen_init_ephemeral"), node("resp_static", "gen_resp_ephemeral")
	initiator, err := i.newState(true, suite, &psk, v["prologue"], r.public[:])
	if err != nil {
		t.Fatal(err)
	}
	responder, err := r.newState(false, suite, &psk, v["prologue"], nil)
	if err != nil {
		t.Fatal(err)
	}
	one, _, _, err := initiator.WriteMessage(nil, v["msg_0_payload"])
	if err != nil || !bytes.Equal(one, v["msg_0_ciphertext"]) {
		t.Errorf("%v: message 1 is %x, %v", suite, one, err)
	}
	if _, _, _, err := responder.ReadMessage(nil, one); err != nil {
		t.Fatal(err)
	}
	two, toResponder, toInitiator, err := responder.WriteMessage(nil, v["msg_1_payload"])
	if err != nil || !bytes.Equal(two, v["msg_1_ciphertext"]) {
		t.Errorf("%v: message 2 is %x, %v", suite, two, err)
	}
	for name, key := range map[string][keySize]byte{"msg_2": toResponder.UnsafeKey(), "msg_3": toInitiator.UnsafeKey()} {
		aead, err := suite.aead(&key)
		if err != nil {
			t.Fatal(err)
		}
		var nonce [nonceSize]byte
		putNonce(&nonce, 0)
		if got := aead.Seal(nil, nonce[:], v[name+"_payload"], nil); !bytes.Equal(got, v[name+"_ciphertext"]) {
			t.Errorf("%v: %s is %x", suite, name, got)
		}
	}
}
