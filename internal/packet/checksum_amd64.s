// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Four lanes of 64 bits are added at a time, without looking at carries. What
// they lose is made good with the upper halves of the lanes, which are added up
// apart, where there is room for their carries:
//
//	all   = (sum of lower) + 2^32 * (sum of upper), modulo 2^64
//	upper = (sum of upper)
//
// So all - 2^32 * upper is the sum of the lower halves. 2^32 is 1 modulo 2^16-1:
// both sums are of the same kind, and added. There are four of each, Y0 to Y3
// and Y4 to Y7, so that an addition need not wait for the one before.

#define ADD(at, data, all, upper) \
	VMOVDQU at(SI), data;        \
	VPADDQ  data, all, all;      \
	VPSRLQ  $32, data, data;     \
	VPADDQ  data, upper, upper

// func sumWide(b []byte) uint64
TEXT ·sumWide(SB), NOSPLIT, $0-32
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX

	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7

	SUBQ $128, CX
	JLT  single

four:
	ADD(0, Y8, Y0, Y4)
	ADD(32, Y9, Y1, Y5)
	ADD(64, Y10, Y2, Y6)
	ADD(96, Y11, Y3, Y7)
	ADDQ $128, SI
	SUBQ $128, CX
	JGE  four

single:
	ADDQ $128, CX
	JZ   reduce

one:
	ADD(0, Y8, Y0, Y4)
	ADDQ $32, SI
	SUBQ $32, CX
	JNZ  one

reduce:
	VPADDQ Y1, Y0, Y0
	VPADDQ Y3, Y2, Y2
	VPADDQ Y5, Y4, Y4
	VPADDQ Y7, Y6, Y6
	VPADDQ Y2, Y0, Y0
	VPADDQ Y6, Y4, Y4

	// all - 2^32 * upper + upper, then the four lanes.
	VPSLLQ       $32, Y4, Y5
	VPSUBQ       Y5, Y0, Y0
	VPADDQ       Y4, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDQ       X1, X0, X0
	VPSRLDQ      $8, X0, X1
	VPADDQ       X1, X0, X0
	VMOVQ        X0, AX
	VZEROUPPER
	MOVQ         AX, ret+24(FP)
	RET
