// SPDX-License-Identifier: Apache-2.0

package seal

// maxHeld is how many bytes of packets wait for a handshake with one peer.
const maxHeld = 128 << 10

// queue keeps copies of packets that wait, the oldest first.
type queue struct {
	packets [][]byte
	bytes   int
}

// push adds a copy of a packet, and returns how many older ones had to go, or 1
// if the packet itself is too large.
func (q *queue) push(packet []byte) (dropped int) {
	if len(packet) > maxHeld {
		return 1
	}
	for q.bytes+len(packet) > maxHeld {
		q.bytes -= len(q.packets[0])
		q.packets[0] = nil
		q.packets = q.packets[1:]
		dropped++
	}
	q.packets = append(q.packets, append(make([]byte, 0, len(packet)), packet...))
	q.bytes += len(packet)
	return dropped
}

// take returns the packets, and forgets them.
func (q *queue) take() [][]byte {
	packets := q.packets
	*q = queue{}
	return packets
}
