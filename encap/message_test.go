// SPDX-License-Identifier: Apache-2.0

package encap

import "testing"

func TestNewMessagesShareASlabWithoutTouching(t *testing.T) {
	msgs := NewMessages(3, 100)
	for i, m := range msgs {
		if len(m.Buffers) != 1 || len(m.Buffers[0]) != 100 || cap(m.Buffers[0]) != 100 {
			t.Fatalf("message %d has buffers %v", i, m.Buffers)
		}
		for j := range m.Buffers[0] {
			m.Buffers[0][j] = byte(i)
		}
	}
	for i, m := range msgs {
		for j, b := range m.Buffers[0] {
			if b != byte(i) {
				t.Fatalf("byte %d of message %d was written through another one", j, i)
			}
		}
	}
}
