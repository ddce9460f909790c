#include "textflag.h"

// SHA-1 (FIPS 180-4 §6.1.2) on eight messages at once: a register holds one word of each. It is
// hand-written because a name is tested against every hashed line of known_hosts, and one
// message at a time takes six times as long.

DATA ·laneConstants+0(SB)/4, $0x5a827999
DATA ·laneConstants+4(SB)/4, $0x6ed9eba1
DATA ·laneConstants+8(SB)/4, $0x8f1bbcdc
DATA ·laneConstants+12(SB)/4, $0xca62c1d6
GLOBL ·laneConstants(SB), RODATA|NOPTR, $16

// COMPRESS is the body of compress for both instruction sets, which differ in CHOOSE, PARITY,
// MAJORITY and STEP. After five rounds each word is back in its register; each four times five
// rounds use one constant, in Y9.
#define COMPRESS \
	MOVQ out+0(FP), DI; \
	MOVQ in+8(FP), DX; \
	MOVQ w+16(FP), SI; \
	VMOVDQU 0(DX), Y0; \
	VMOVDQU 32(DX), Y1; \
	VMOVDQU 64(DX), Y2; \
	VMOVDQU 96(DX), Y3; \
	VMOVDQU 128(DX), Y4; \
	VPBROADCASTD ·laneConstants+0(SB), Y9; \
	MOVQ $4, CX; \
rounds0: \
	CHOOSE(Y1, Y2, Y3); \
	STEP(Y0, Y1, Y4, 0); \
	CHOOSE(Y0, Y1, Y2); \
	STEP(Y4, Y0, Y3, 32); \
	CHOOSE(Y4, Y0, Y1); \
	STEP(Y3, Y4, Y2, 64); \
	CHOOSE(Y3, Y4, Y0); \
	STEP(Y2, Y3, Y1, 96); \
	CHOOSE(Y2, Y3, Y4); \
	STEP(Y1, Y2, Y0, 128); \
	ADDQ $160, SI; \
	DECQ CX; \
	JNZ rounds0; \
	VPBROADCASTD ·laneConstants+4(SB), Y9; \
	MOVQ $4, CX; \
rounds20: \
	PARITY(Y1, Y2, Y3); \
	STEP(Y0, Y1, Y4, 0); \
	PARITY(Y0, Y1, Y2); \
	STEP(Y4, Y0, Y3, 32); \
	PARITY(Y4, Y0, Y1); \
	STEP(Y3, Y4, Y2, 64); \
	PARITY(Y3, Y4, Y0); \
	STEP(Y2, Y3, Y1, 96); \
	PARITY(Y2, Y3, Y4); \
	STEP(Y1, Y2, Y0, 128); \
	ADDQ $160, SI; \
	DECQ CX; \
	JNZ rounds20; \
	VPBROADCASTD ·laneConstants+8(SB), Y9; \
	MOVQ $4, CX; \
rounds40: \
	MAJORITY(Y1, Y2, Y3); \
	STEP(Y0, Y1, Y4, 0); \
	MAJORITY(Y0, Y1, Y2); \
	STEP(Y4, Y0, Y3, 32); \
	MAJORITY(Y4, Y0, Y1); \
	STEP(Y3, Y4, Y2, 64); \
	MAJORITY(Y3, Y4, Y0); \
	STEP(Y2, Y3, Y1, 96); \
	MAJORITY(Y2, Y3, Y4); \
	STEP(Y1, Y2, Y0, 128); \
	ADDQ $160, SI; \
	DECQ CX; \
	JNZ rounds40; \
	VPBROADCASTD ·laneConstants+12(SB), Y9; \
	MOVQ $4, CX; \
rounds60: \
	PARITY(Y1, Y2, Y3); \
	STEP(Y0, Y1, Y4, 0); \
	PARITY(Y0, Y1, Y2); \
	STEP(Y4, Y0, Y3, 32); \
	PARITY(Y4, Y0, Y1); \
	STEP(Y3, Y4, Y2, 64); \
	PARITY(Y3, Y4, Y0); \
	STEP(Y2, Y3, Y1, 96); \
	PARITY(Y2, Y3, Y4); \
	STEP(Y1, Y2, Y0, 128); \
	ADDQ $160, SI; \
	DECQ CX; \
	JNZ rounds60; \
	VPADDD 0(DX), Y0, Y0; \
	VPADDD 32(DX), Y1, Y1; \
	VPADDD 64(DX), Y2, Y2; \
	VPADDD 96(DX), Y3, Y3; \
	VPADDD 128(DX), Y4, Y4; \
	VMOVDQU Y0, 0(DI); \
	VMOVDQU Y1, 32(DI); \
	VMOVDQU Y2, 64(DI); \
	VMOVDQU Y3, 96(DI); \
	VMOVDQU Y4, 128(DI); \
	VZEROUPPER; \
	RET

// CHOOSE, PARITY and MAJORITY set Y5 to f(b, c, d).
#define CHOOSE(b, c, d) \
	VPXOR c, d, Y5; \
	VPAND b, Y5, Y5; \
	VPXOR d, Y5, Y5

#define PARITY(b, c, d) \
	VPXOR b, c, Y5; \
	VPXOR d, Y5, Y5

#define MAJORITY(b, c, d) \
	VPXOR b, c, Y5; \
	VPAND d, Y5, Y5; \
	VPAND b, c, Y6; \
	VPXOR Y6, Y5, Y5

// STEP ends a round whose f is in Y5, with the schedule's word at offset w from
// SI: e += a<<<5 + f + K + W; b = b<<<30.
#define STEP(a, b, e, w) \
	VPADDD w(SI), e, e; \
	VPADDD Y9, Y5, Y5; \
	VPSLLD $5, a, Y6; \
	VPSRLD $27, a, Y7; \
	VPADDD Y5, e, e; \
	VPOR Y6, Y7, Y6; \
	VPSLLD $30, b, Y8; \
	VPADDD Y6, e, e; \
	VPSRLD $2, b, b; \
	VPOR Y8, b, b

// func compressAVX2(out, in *state, w *schedule)
TEXT ·compressAVX2(SB), NOSPLIT, $0-24
	COMPRESS

// func expandAVX2(w *schedule)
TEXT ·expandAVX2(SB), NOSPLIT, $0-8
	MOVQ w+0(FP), SI
	MOVQ $64, CX

	// W[t] = (W[t-3] ^ W[t-8] ^ W[t-14] ^ W[t-16]) <<< 1, with SI at W[t-16].
words:
	VMOVDQU 0(SI), Y0
	VPXOR   64(SI), Y0, Y0
	VPXOR   256(SI), Y0, Y0
	VPXOR   416(SI), Y0, Y0
	VPSRLD  $31, Y0, Y1
	VPADDD  Y0, Y0, Y0
	VPOR    Y1, Y0, Y0
	VMOVDQU Y0, 512(SI)
	ADDQ    $32, SI
	DECQ    CX
	JNZ     words
	VZEROUPPER
	RET

// AVX-512 rotates in one instruction and computes any function of three words in one:
// VPTERNLOGD with the function's truth table, indexed by the bits of its last, middle and first
// operand.
#undef CHOOSE
#undef PARITY
#undef MAJORITY
#undef STEP

#define CHOOSE(b, c, d) \
	VMOVDQA b, Y5; \
	VPTERNLOGD $0xca, d, c, Y5

#define PARITY(b, c, d) \
	VMOVDQA b, Y5; \
	VPTERNLOGD $0x96, d, c, Y5

#define MAJORITY(b, c, d) \
	VMOVDQA b, Y5; \
	VPTERNLOGD $0xe8, d, c, Y5

#define STEP(a, b, e, w) \
	VPADDD w(SI), e, e; \
	VPADDD Y9, Y5, Y5; \
	VPROLD $5, a, Y6; \
	VPADDD Y5, e, e; \
	VPROLD $30, b, b; \
	VPADDD Y6, e, e

// func compressAVX512(out, in *state, w *schedule)
TEXT ·compressAVX512(SB), NOSPLIT, $0-24
	COMPRESS
