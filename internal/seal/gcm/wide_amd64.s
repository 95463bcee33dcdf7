// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Sixteen blocks are worked on at a time: four registers with four blocks each.
// Keystream depends on nothing that came before. So while it is made, the
// processor also hashes sixteen blocks: the same ones to open, the ones before
// to seal. Both have long chains of dependent instructions, which are laid side
// by side here.
//
//	AX      schedule: powers of the hash key from the 17th at 48 to the first at
//	        304, round keys from 320
//	DI, CX  text that is left, and its length
//	BX      nonce
//	SI, DX  additional data, tag
//	Z0-Z3   counters, then keystream
//	Z4-Z7   encrypted text
//	Z8-Z10  product: low, middle and high part, 64 bits apart
//	X12     hash so far
//	Z14     next counters
//	Z15     remainder
//	Z16-Z30 round keys
//	Z31     order of bytes
//
// A block is hashed as a number, with its bytes turned round. Counters are kept
// in that order, too.

DATA order<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA order<>+8(SB)/8, $0x0001020304050607
GLOBL order<>(SB), RODATA|NOPTR, $16

DATA remainder<>+0(SB)/8, $0x0000000000000001
DATA remainder<>+8(SB)/8, $0xc200000000000000
GLOBL remainder<>(SB), RODATA|NOPTR, $16

// How far the first four counters of the text are ahead of that of the tag.
DATA first<>+0(SB)/8, $1
DATA first<>+8(SB)/8, $0
DATA first<>+16(SB)/8, $2
DATA first<>+24(SB)/8, $0
DATA first<>+32(SB)/8, $3
DATA first<>+40(SB)/8, $0
DATA first<>+48(SB)/8, $4
DATA first<>+56(SB)/8, $0
GLOBL first<>(SB), RODATA|NOPTR, $64

DATA four<>+0(SB)/8, $4
DATA four<>+8(SB)/8, $0
DATA four<>+16(SB)/8, $4
DATA four<>+24(SB)/8, $0
DATA four<>+32(SB)/8, $4
DATA four<>+40(SB)/8, $0
DATA four<>+48(SB)/8, $4
DATA four<>+56(SB)/8, $0
GLOBL four<>(SB), RODATA|NOPTR, $64

#define ARGUMENTS \
	MOVQ key+0(FP), AX;    \
	MOVQ text+8(FP), DI;   \
	MOVQ n+16(FP), CX;     \
	MOVQ nonce+24(FP), BX; \
	MOVQ data+32(FP), SI;  \
	MOVQ tag+40(FP), DX

#define ROUND_KEYS \
	VBROADCASTI32X4 320(AX), Z16; \
	VBROADCASTI32X4 336(AX), Z17; \
	VBROADCASTI32X4 352(AX), Z18; \
	VBROADCASTI32X4 368(AX), Z19; \
	VBROADCASTI32X4 384(AX), Z20; \
	VBROADCASTI32X4 400(AX), Z21; \
	VBROADCASTI32X4 416(AX), Z22; \
	VBROADCASTI32X4 432(AX), Z23; \
	VBROADCASTI32X4 448(AX), Z24; \
	VBROADCASTI32X4 464(AX), Z25; \
	VBROADCASTI32X4 480(AX), Z26; \
	VBROADCASTI32X4 496(AX), Z27; \
	VBROADCASTI32X4 512(AX), Z28; \
	VBROADCASTI32X4 528(AX), Z29; \
	VBROADCASTI32X4 544(AX), Z30

// FIRST_BLOCK sets X13 to the first block of counters: the nonce, and a one. A
// nonce was written in pieces just now, and longer loads would have to wait.
#define FIRST_BLOCK \
	MOVL    $0x01000000, R9;        \
	VMOVD   0(BX), X13;             \
	VPINSRD $1, 4(BX), X13, X13;    \
	VPINSRD $2, 8(BX), X13, X13;    \
	VPINSRD $3, R9, X13, X13

// BEGIN sets up the registers that stay, and hashes the additional data.
#define BEGIN \
	ROUND_KEYS;                            \
	VBROADCASTI32X4 order<>(SB), Z31;      \
	VBROADCASTI32X4 remainder<>(SB), Z15;  \
	FIRST_BLOCK;                           \
	VSHUFI32X4      $0, Z13, Z13, Z14;     \
	VPSHUFB         Z31, Z14, Z14;         \
	VPADDD          first<>(SB), Z14, Z14; \
	VMOVQ           0(SI), X4;             \
	VPINSRQ         $1, 8(SI), X4, X4;     \
	VPSHUFB         X31, X4, X4;           \
	ZERO_PRODUCT;                          \
	VMOVDQU         304(AX), X11;          \
	VPCLMULQDQ      $0x00, X11, X4, X8;    \
	VPCLMULQDQ      $0x11, X11, X4, X10;   \
	VPCLMULQDQ      $0x01, X11, X4, X9;    \
	VPCLMULQDQ      $0x10, X11, X4, X11;   \
	VPXOR           X11, X9, X9;           \
	REDUCE_LOW;                            \
	REDUCE_MIDDLE;                         \
	JOIN

// COUNTERS takes the next 16 counters.
#define COUNTERS \
	VPADDD  four<>(SB), Z14, Z1; \
	VPSHUFB Z31, Z14, Z0;        \
	VPADDD  four<>(SB), Z1, Z2;  \
	VPSHUFB Z31, Z1, Z1;         \
	VPADDD  four<>(SB), Z2, Z3;  \
	VPSHUFB Z31, Z2, Z2;         \
	VPADDD  four<>(SB), Z3, Z14; \
	VPSHUFB Z31, Z3, Z3;         \
	VPXORQ  Z16, Z0, Z0;         \
	VPXORQ  Z16, Z1, Z1;         \
	VPXORQ  Z16, Z2, Z2;         \
	VPXORQ  Z16, Z3, Z3

#define ROUND(key) \
	VAESENC key, Z0, Z0; \
	VAESENC key, Z1, Z1; \
	VAESENC key, Z2, Z2; \
	VAESENC key, Z3, Z3

#define LAST_ROUND \
	VAESENCLAST Z30, Z0, Z0; \
	VAESENCLAST Z30, Z1, Z1; \
	VAESENCLAST Z30, Z2, Z2; \
	VAESENCLAST Z30, Z3, Z3

#define KEYSTREAM \
	COUNTERS;   \
	ROUND(Z17); \
	ROUND(Z18); \
	ROUND(Z19); \
	ROUND(Z20); \
	ROUND(Z21); \
	ROUND(Z22); \
	ROUND(Z23); \
	ROUND(Z24); \
	ROUND(Z25); \
	ROUND(Z26); \
	ROUND(Z27); \
	ROUND(Z28); \
	ROUND(Z29); \
	LAST_ROUND

// KEYSTREAM_HASH is KEYSTREAM and HASH.
#define KEYSTREAM_HASH \
	COUNTERS;            \
	ROUND(Z17);          \
	TURN;                \
	ROUND(Z18);          \
	CONTINUE;            \
	ROUND(Z19);          \
	LOW(Z4, 64(AX));     \
	MIDDLE(Z4, 64(AX));  \
	ROUND(Z20);          \
	HIGH(Z4, 64(AX));    \
	LOW(Z5, 128(AX));    \
	ROUND(Z21);          \
	MIDDLE(Z5, 128(AX)); \
	HIGH(Z5, 128(AX));   \
	ROUND(Z22);          \
	LOW(Z6, 192(AX));    \
	MIDDLE(Z6, 192(AX)); \
	ROUND(Z23);          \
	HIGH(Z6, 192(AX));   \
	LOW(Z7, 256(AX));    \
	ROUND(Z24);          \
	MIDDLE(Z7, 256(AX)); \
	HIGH(Z7, 256(AX));   \
	ROUND(Z25);          \
	REDUCE_LOW;          \
	ROUND(Z26);          \
	ROUND(Z27);          \
	REDUCE_MIDDLE;       \
	ROUND(Z28);          \
	ROUND(Z29);          \
	JOIN;                \
	LAST_ROUND

#define ROUND_TAG(wide, key) \
	ROUND(wide);           \
	VAESENC key, X13, X13

// KEYSTREAM_TAG makes the last keystream, and that of the tag in X13.
#define KEYSTREAM_TAG \
	COUNTERS;                 \
	FIRST_BLOCK;              \
	VPXORQ      X16, X13, X13; \
	ROUND_TAG(Z17, X17);      \
	ROUND_TAG(Z18, X18);      \
	ROUND_TAG(Z19, X19);      \
	ROUND_TAG(Z20, X20);      \
	ROUND_TAG(Z21, X21);      \
	ROUND_TAG(Z22, X22);      \
	ROUND_TAG(Z23, X23);      \
	ROUND_TAG(Z24, X24);      \
	ROUND_TAG(Z25, X25);      \
	ROUND_TAG(Z26, X26);      \
	ROUND_TAG(Z27, X27);      \
	ROUND_TAG(Z28, X28);      \
	ROUND_TAG(Z29, X29);      \
	LAST_ROUND;               \
	VAESENCLAST X30, X13, X13

// HASH hashes the 16 blocks in Z4 to Z7.
#define HASH \
	TURN;                \
	CONTINUE;            \
	TERM(Z4, 64(AX));    \
	TERM(Z5, 128(AX));   \
	TERM(Z6, 192(AX));   \
	TERM(Z7, 256(AX));   \
	REDUCE_LOW;          \
	REDUCE_MIDDLE;       \
	JOIN

// TURN makes numbers of the 16 blocks.
#define TURN \
	VPSHUFB Z31, Z4, Z4; \
	VPSHUFB Z31, Z5, Z5; \
	VPSHUFB Z31, Z6, Z6; \
	VPSHUFB Z31, Z7, Z7

// CONTINUE adds the hash so far to the first block.
#define CONTINUE \
	VPXORQ Z12, Z4, Z4; \
	ZERO_PRODUCT

#define ZERO_PRODUCT \
	VPXORQ Z8, Z8, Z8; \
	VPXORQ Z9, Z9, Z9; \
	VPXORQ Z10, Z10, Z10

// TERM adds four blocks, multiplied by the four powers at an address, to the
// product.
#define TERM(blocks, powers) \
	LOW(blocks, powers);    \
	MIDDLE(blocks, powers); \
	HIGH(blocks, powers)

#define LOW(blocks, powers) \
	VPCLMULQDQ $0x00, powers, blocks, Z11; \
	VPXORQ     Z11, Z8, Z8

#define MIDDLE(blocks, powers) \
	VPCLMULQDQ $0x01, powers, blocks, Z11; \
	VPCLMULQDQ $0x10, powers, blocks, Z13; \
	VPTERNLOGQ $0x96, Z11, Z13, Z9

#define HIGH(blocks, powers) \
	VPCLMULQDQ $0x11, powers, blocks, Z11; \
	VPXORQ     Z11, Z10, Z10

// REDUCE_LOW takes the lowest 64 bits of a product into the others, and the low
// part into the middle one. Its halves change places.
#define REDUCE_LOW \
	VPCLMULQDQ $0x01, Z8, Z15, Z11; \
	VPSHUFD    $0x4e, Z8, Z8;       \
	VPTERNLOGQ $0x96, Z11, Z8, Z9

// REDUCE_MIDDLE does so with the middle part.
#define REDUCE_MIDDLE \
	VPCLMULQDQ $0x01, Z9, Z15, Z11; \
	VPSHUFD    $0x4e, Z9, Z9;       \
	VPTERNLOGQ $0x96, Z11, Z9, Z10

// JOIN adds up the four blocks.
#define JOIN \
	VEXTRACTI64X4 $1, Z10, Y11;  \
	VPXOR         Y11, Y10, Y10; \
	VEXTRACTI128  $1, Y10, X11;  \
	VPXOR         X11, X10, X12

#define MASK(mask) \
	BZHIQ   CX, R8, R9; \
	KMOVQ   R9, mask;   \
	SUBQ    $64, CX;    \
	CMOVQLT R10, CX

// MASKS sets K1 to K4 to which bytes of the last 256 are text, and R11 so that
// the powers for them begin at 304: the last block of text has the second, and
// the block of lengths the first.
#define MASKS \
	LEAQ 15(CX), R11; \
	SHRQ $4, R11;     \
	SHLQ $4, R11;     \
	NEGQ R11;         \
	ADDQ AX, R11;     \
	MOVQ $-1, R8;     \
	XORL R10, R10;    \
	MASK(K1);         \
	MASK(K2);         \
	MASK(K3);         \
	MASK(K4)

// FINISH hashes the last blocks, with zeros behind the text, and the lengths in
// bits. It writes the tag, and forgets the round keys.
#define FINISH \
	TURN;                          \
	CONTINUE;                      \
	MOVQ       n+16(FP), R8;       \
	SHLQ       $3, R8;             \
	MOVL       $128, R9;           \
	VMOVQ      R8, X0;             \
	VPINSRQ    $1, R9, X0, X0;     \
	VMOVDQU    304(AX), X1;        \
	VPCLMULQDQ $0x00, X1, X0, X8;  \
	VPCLMULQDQ $0x11, X1, X0, X10; \
	VPCLMULQDQ $0x01, X1, X0, X9;  \
	VPCLMULQDQ $0x10, X1, X0, X2;  \
	VPXOR      X2, X9, X9;         \
	VMOVDQA64  Z13, Z3;            \
	TERM(Z4, 304(R11));            \
	TERM(Z5, 368(R11));            \
	TERM(Z6, 432(R11));            \
	TERM(Z7, 496(R11));            \
	REDUCE_LOW;                    \
	REDUCE_MIDDLE;                 \
	JOIN;                          \
	VPSHUFB    X31, X12, X12;      \
	VPXOR      X3, X12, X12;       \
	VMOVDQU    X12, (DX);          \
	VPXORQ     Z16, Z16, Z16;      \
	VPXORQ     Z17, Z17, Z17;      \
	VPXORQ     Z18, Z18, Z18;      \
	VPXORQ     Z19, Z19, Z19;      \
	VPXORQ     Z20, Z20, Z20;      \
	VPXORQ     Z21, Z21, Z21;      \
	VPXORQ     Z22, Z22, Z22;      \
	VPXORQ     Z23, Z23, Z23;      \
	VPXORQ     Z24, Z24, Z24;      \
	VPXORQ     Z25, Z25, Z25;      \
	VPXORQ     Z26, Z26, Z26;      \
	VPXORQ     Z27, Z27, Z27;      \
	VPXORQ     Z28, Z28, Z28;      \
	VPXORQ     Z29, Z29, Z29;      \
	VPXORQ     Z30, Z30, Z30;      \
	VPXORQ     Z31, Z31, Z31;      \
	VZEROUPPER

// ENCRYPT replaces 256 bytes.
#define ENCRYPT \
	VPXORQ    0(DI), Z0, Z4;   \
	VPXORQ    64(DI), Z1, Z5;  \
	VPXORQ    128(DI), Z2, Z6; \
	VPXORQ    192(DI), Z3, Z7; \
	VMOVDQU64 Z4, 0(DI);       \
	VMOVDQU64 Z5, 64(DI);      \
	VMOVDQU64 Z6, 128(DI);     \
	VMOVDQU64 Z7, 192(DI);     \
	ADDQ      $256, DI;        \
	SUBQ      $256, CX

// func sealWide(key *schedule, text *byte, n int, nonce *[12]byte, data, tag *[16]byte)
TEXT ·sealWide(SB), NOSPLIT, $0-48
	ARGUMENTS
	BEGIN
	SUBQ $256, CX
	JLT  last
	KEYSTREAM
	ENCRYPT
	JLT  hash

sixteen:
	KEYSTREAM_HASH
	ENCRYPT
	JGE sixteen

hash:
	HASH

last:
	ADDQ       $256, CX
	MASKS
	KEYSTREAM_TAG
	VMOVDQU8.Z 0(DI), K1, Z4
	VMOVDQU8.Z 64(DI), K2, Z5
	VMOVDQU8.Z 128(DI), K3, Z6
	VMOVDQU8.Z 192(DI), K4, Z7
	VPXORQ     Z0, Z4, Z4
	VPXORQ     Z1, Z5, Z5
	VPXORQ     Z2, Z6, Z6
	VPXORQ     Z3, Z7, Z7
	VMOVDQU8   Z4, K1, 0(DI)
	VMOVDQU8   Z5, K2, 64(DI)
	VMOVDQU8   Z6, K3, 128(DI)
	VMOVDQU8   Z7, K4, 192(DI)
	VMOVDQU8.Z Z4, K1, Z4
	VMOVDQU8.Z Z5, K2, Z5
	VMOVDQU8.Z Z6, K3, Z6
	VMOVDQU8.Z Z7, K4, Z7
	FINISH
	RET

// func openWide(key *schedule, text *byte, n int, nonce *[12]byte, data, tag *[16]byte)
TEXT ·openWide(SB), NOSPLIT, $0-48
	ARGUMENTS
	BEGIN
	SUBQ $256, CX
	JLT  last

sixteen:
	VMOVDQU64 0(DI), Z4
	VMOVDQU64 64(DI), Z5
	VMOVDQU64 128(DI), Z6
	VMOVDQU64 192(DI), Z7
	KEYSTREAM_HASH
	VPXORQ    0(DI), Z0, Z0
	VPXORQ    64(DI), Z1, Z1
	VPXORQ    128(DI), Z2, Z2
	VPXORQ    192(DI), Z3, Z3
	VMOVDQU64 Z0, 0(DI)
	VMOVDQU64 Z1, 64(DI)
	VMOVDQU64 Z2, 128(DI)
	VMOVDQU64 Z3, 192(DI)
	ADDQ      $256, DI
	SUBQ      $256, CX
	JGE       sixteen

last:
	ADDQ       $256, CX
	MASKS
	VMOVDQU8.Z 0(DI), K1, Z4
	VMOVDQU8.Z 64(DI), K2, Z5
	VMOVDQU8.Z 128(DI), K3, Z6
	VMOVDQU8.Z 192(DI), K4, Z7
	KEYSTREAM_TAG
	VPXORQ     Z4, Z0, Z0
	VPXORQ     Z5, Z1, Z1
	VPXORQ     Z6, Z2, Z2
	VPXORQ     Z7, Z3, Z3
	VMOVDQU8   Z0, K1, 0(DI)
	VMOVDQU8   Z1, K2, 64(DI)
	VMOVDQU8   Z2, K3, 128(DI)
	VMOVDQU8   Z3, K4, 192(DI)
	FINISH
	RET

// func cipherBlock(key *schedule, block *[16]byte)
TEXT ·cipherBlock(SB), NOSPLIT, $0-16
	MOVQ        key+0(FP), AX
	MOVQ        block+8(FP), BX
	VMOVDQU     (BX), X0
	VPXOR       320(AX), X0, X0
	VAESENC     336(AX), X0, X0
	VAESENC     352(AX), X0, X0
	VAESENC     368(AX), X0, X0
	VAESENC     384(AX), X0, X0
	VAESENC     400(AX), X0, X0
	VAESENC     416(AX), X0, X0
	VAESENC     432(AX), X0, X0
	VAESENC     448(AX), X0, X0
	VAESENC     464(AX), X0, X0
	VAESENC     480(AX), X0, X0
	VAESENC     496(AX), X0, X0
	VAESENC     512(AX), X0, X0
	VAESENC     528(AX), X0, X0
	VAESENCLAST 544(AX), X0, X0
	VMOVDQU     X0, (BX)
	RET

// func substitute(word uint32) uint32
TEXT ·substitute(SB), NOSPLIT, $0-12
	// Four equal columns: the order of their bytes stays as it is.
	MOVL        word+0(FP), AX
	VMOVD       AX, X0
	VPSHUFD     $0, X0, X0
	VPXOR       X1, X1, X1
	VAESENCLAST X1, X0, X0
	VMOVD       X0, AX
	MOVL        AX, ret+8(FP)
	RET
