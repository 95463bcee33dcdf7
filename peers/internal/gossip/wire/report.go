// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/ed25519"
	"encoding/binary"

	"flanneld/peers/internal/record"
)

// A node reports how it is to a member that asks. A report travels in parts,
// and each part is asked for, since protocol version 3. What a report says is
// its writer's and its reader's business. Since version 4 an inquiry can have a
// question instead. The answer is a part by itself, of report 0.
//
// An inquiry, big endian. It is longer than any answer, so that a node sends no
// more than was sent to it:
//
//	0    1  type 202
//	1    16 nonce
//	17   16 ID of the node that is asked
//	33   32 public key of the node that asks
//	65   8  number of the report; 0: the present one
//	73   1  part, from 0 on
//	74   1  length of the question; 0: the inquiry is for a report
//	75   n  question
//	..   .. zeros
//	1096 64 signature of all before it
//
// A part:
//
//	0   1  type 203
//	1   16 nonce
//	17  32 public key
//	49  8  number of the report
//	57  1  part
//	58  1  number of parts
//	59  n  bytes of the report, 1,024 but in the last part
//	..  64 signature of all before it
const (
	InquirySize    = 1160 // bytes: 1,241 with envelope, seal, UDP and IPv4
	PartBytes      = 1024 // of a report
	MaxReportParts = 16
	MaxReport      = MaxReportParts * PartBytes // bytes
	MaxQuestion    = 64                         // bytes

	inquiryHead   = 75
	inquirySigned = InquirySize - ed25519.SignatureSize
	inquiryDomain = "inquiry for a report"
	partHead      = 59
	partDomain    = "part of a report"
)

// ReportVersion is the first protocol version with reports.
const ReportVersion = 3

// QuestionVersion is the first protocol version with questions in inquiries.
const QuestionVersion = 4

// Inquiry asks for a part of a report, or has a question.
type Inquiry struct {
	Nonce  [NonceSize]byte
	To     record.NodeID
	From   record.NodeID // by the key in the inquiry
	Report uint64        // 0: the present one
	Part   uint8
	// Question is at most MaxQuestion bytes; empty: the inquiry is for a
	// report. ParseInquiry returns a part of what it read.
	Question []byte
}

// Encode signs the inquiry in the name of id. Of a question that is too long,
// only the beginning is sent.
func (q Inquiry) Encode(id record.Identity) []byte {
	b := make([]byte, inquirySigned, InquirySize)
	b[0] = TypeInquiry
	copy(b[1:], q.Nonce[:])
	copy(b[17:], q.To[:])
	copy(b[33:], id.Public())
	binary.BigEndian.PutUint64(b[65:], q.Report)
	b[73] = q.Part
	b[74] = byte(copy(b[inquiryHead:inquiryHead+MaxQuestion], q.Question))
	return append(b, id.SignStatement(inquiryDomain, b)...)
}

// ParseInquiry takes an inquiry apart; [VerifyInquiry] checks the signature.
func ParseInquiry(b []byte) (q Inquiry, ok bool) {
	if len(b) != InquirySize || b[0] != TypeInquiry || b[73] >= MaxReportParts || b[74] > MaxQuestion {
		return q, false
	}
	return Inquiry{
		Nonce: [NonceSize]byte(b[1:17]), To: record.NodeID(b[17:33]), From: record.NodeIDOf(b[33:65]),
		Report: binary.BigEndian.Uint64(b[65:]), Part: b[73],
		Question: b[inquiryHead : inquiryHead+int(b[74])],
	}, true
}

// VerifyInquiry reports whether a parsed inquiry is signed by the node that
// asks.
func VerifyInquiry(b []byte) bool {
	_, ok := record.VerifyStatement(b[33:65], inquiryDomain, b[:inquirySigned], b[inquirySigned:])
	return ok
}

// Part is one part of a report.
type Part struct {
	Nonce  [NonceSize]byte // of the inquiry
	From   record.NodeID
	Report uint64 // 0: it answers a question
	Part   uint8
	Parts  uint8  // of the report, at least 1
	Bytes  []byte // part of what was read
}

// CutReport returns the bytes of each part of a report; ok is false where the
// report is empty or longer than [MaxReport]. The parts are pieces of report.
func CutReport(report []byte) (parts [][]byte, ok bool) {
	if len(report) == 0 || len(report) > MaxReport {
		return nil, false
	}
	for len(report) > 0 {
		n := min(PartBytes, len(report))
		parts, report = append(parts, report[:n:n]), report[n:]
	}
	return parts, true
}

// Encode signs the part in the name of id.
func (p Part) Encode(id record.Identity) []byte {
	b := make([]byte, partHead, partHead+len(p.Bytes)+ed25519.SignatureSize)
	b[0] = TypePart
	copy(b[1:], p.Nonce[:])
	copy(b[17:], id.Public())
	binary.BigEndian.PutUint64(b[49:], p.Report)
	b[57], b[58] = p.Part, p.Parts
	b = append(b, p.Bytes...)
	return append(b, id.SignStatement(partDomain, b)...)
}

// ParsePart takes a part apart; [VerifyPart] checks the signature.
func ParsePart(b []byte) (p Part, ok bool) {
	if len(b) <= partHead+ed25519.SignatureSize || b[0] != TypePart {
		return p, false
	}
	p = Part{
		Nonce: [NonceSize]byte(b[1:17]), From: record.NodeIDOf(b[17:49]), Report: binary.BigEndian.Uint64(b[49:]),
		Part: b[57], Parts: b[58], Bytes: b[partHead : len(b)-ed25519.SignatureSize],
	}
	last := p.Part+1 == p.Parts
	return p, p.Parts <= MaxReportParts && p.Part < p.Parts && len(p.Bytes) <= PartBytes && (last || len(p.Bytes) == PartBytes)
}

// VerifyPart reports whether a parsed part is signed by its node.
func VerifyPart(b []byte) bool {
	n := len(b) - ed25519.SignatureSize
	_, ok := record.VerifyStatement(b[17:49], partDomain, b[:n], b[n:])
	return ok
}
