package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"flanneld/peers/internal/record"
)

// What a node believes of another one's life rests on what that one has signed.
// A question has a random nonce. The answer proves that the node is there now.
// It is the node's signature of the nonce, the start, the instance, the network
// and the endpoint it answers for. memberlist's own pings prove nothing: a program that
// guesses a number can acknowledge one.
//
// A question, big endian. It is as long as its proof, so that a node sends no more
// than was sent to it:
//
//	0   1  type 200
//	1   16 nonce
//	17  16 ID of the node that is asked
//	33  .. zeros
//
// A proof:
//
//	0   1  type 201
//	1   16 nonce
//	17  32 public key
//	49  8  number of the start
//	57  8  instance
//	65  1  length of the address (4 or 16)
//	66  16 address of the endpoint, zeros behind 4
//	82  2  port
//	84  16 network ID, zero while in none
//	100 64 signature of all before it
const (
	proofSize   = 100 + ed25519.SignatureSize
	proofDomain = "proof of life"
	nonceSize   = 16

	maxQuestions = 8192            // under way
	questionFor  = 2 * time.Second // what is answered later is not an answer
)

// proof is a verified answer.
type proof struct {
	node     record.NodeID
	start    uint64
	instance uint64
	network  record.NetworkID // zero: it is in none yet
	at       netip.AddrPort
	asked    netip.AddrPort // where the question went
	rtt      time.Duration
}

func (p proof) name() string { return memberName(p.node, p.start) }

func encodeQuestion(nonce [nonceSize]byte, to record.NodeID) []byte {
	b := make([]byte, proofSize)
	b[0] = typeQuestion
	copy(b[1:], nonce[:])
	copy(b[17:], to[:])
	return b
}

func parseQuestion(b []byte) (nonce [nonceSize]byte, to record.NodeID, ok bool) {
	if len(b) < proofSize || b[0] != typeQuestion {
		return nonce, to, false
	}
	return [nonceSize]byte(b[1:17]), record.NodeID(b[17:33]), true
}

// encodeProof answers a question.
func encodeProof(nonce [nonceSize]byte, self meta, id record.Identity) []byte {
	b := make([]byte, 100, proofSize)
	b[0] = typeProof
	copy(b[1:], nonce[:])
	copy(b[17:], id.Public())
	binary.BigEndian.PutUint64(b[49:], self.start)
	binary.BigEndian.PutUint64(b[57:], self.instance)
	addr := self.at.Addr().AsSlice()
	b[65] = byte(len(addr))
	copy(b[66:82], addr)
	binary.BigEndian.PutUint16(b[82:], self.at.Port())
	copy(b[84:100], self.network[:])
	return append(b, id.SignStatement(proofDomain, b)...)
}

// parseProof takes a proof apart; the signature is not checked.
func parseProof(b []byte) (nonce [nonceSize]byte, p proof, ok bool) {
	if len(b) != proofSize || b[0] != typeProof || b[65] != 4 && b[65] != 16 {
		return nonce, p, false
	}
	addr, ok := netip.AddrFromSlice(b[66 : 66+b[65]])
	p = proof{
		node:  record.NodeIDOf(b[17:49]),
		start: binary.BigEndian.Uint64(b[49:]), instance: binary.BigEndian.Uint64(b[57:]),
		at:      netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[82:])),
		network: record.NetworkID(b[84:100]),
	}
	return [nonceSize]byte(b[1:17]), p, ok && p.start <= maxStart && !addr.Is4In6()
}

// question is one that is under way.
type question struct {
	to     record.NodeID
	at     netip.AddrPort
	sent   time.Time
	answer chan<- proof // nil: the roster is told
}

// questions are those that a node has put and that wait for an answer. They are
// safe for concurrent use.
type questions struct {
	mu    sync.Mutex
	open  map[[nonceSize]byte]question
	order [][nonceSize]byte // of those in open, oldest first, and of answered ones
}

func newQuestions() *questions { return &questions{open: map[[nonceSize]byte]question{}} }

// put notes a question and returns its nonce; ok is false while too many are
// under way.
func (q *questions) put(to record.NodeID, at netip.AddrPort, answer chan<- proof, now time.Time) (nonce [nonceSize]byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.order) > 0 {
		oldest, found := q.open[q.order[0]]
		if found && now.Sub(oldest.sent) <= questionFor {
			break
		}
		delete(q.open, q.order[0])
		q.order = q.order[1:]
	}
	if len(q.order) >= maxQuestions {
		return nonce, false
	}
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand ends the process first
	q.open[nonce] = question{to, at, now, answer}
	q.order = append(q.order, nonce)
	return nonce, true
}

// take returns the question that a nonce belongs to, once.
func (q *questions) take(nonce [nonceSize]byte) (question, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked, ok := q.open[nonce]
	delete(q.open, nonce)
	return asked, ok
}

// settle checks a proof against the question it answers. Of what answers no
// question no signature is verified.
func (q *questions) settle(b []byte, now time.Time) (proof, question, bool) {
	nonce, p, ok := parseProof(b)
	if !ok {
		return proof{}, question{}, false
	}
	asked, ok := q.take(nonce)
	if !ok || asked.to != p.node || now.Sub(asked.sent) > questionFor {
		return proof{}, question{}, false
	}
	n := len(b) - ed25519.SignatureSize
	if _, ok := record.VerifyStatement(b[17:49], proofDomain, b[:n], b[n:]); !ok {
		return proof{}, question{}, false
	}
	p.asked, p.rtt = asked.at, now.Sub(asked.sent)
	return p, asked, true
}
