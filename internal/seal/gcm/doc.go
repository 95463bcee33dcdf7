// SPDX-License-Identifier: Apache-2.0

// Package gcm is AES-256-GCM (NIST SP 800-38D) for packets. Where the processor
// has VAES, VPCLMULQDQ and AVX-512, it works on four blocks with each
// instruction. The standard library works on one (golang/go#42726). Everything
// else is left to the standard library.
package gcm
