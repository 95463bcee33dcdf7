#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles shortcut.c for both byte orders, and keeps in object.sum what the
# objects were made of. Needs clang, llvm-strip and the headers of libbpf
# (Debian: clang, llvm, libbpf-dev).
set -eu
cd "$(dirname "$0")"
headers=/usr/include/$(uname -m)-linux-gnu
go run github.com/cilium/ebpf/cmd/bpf2go -go-package shortcut -tags linux -target bpfel,bpfeb \
	-cc clang -cflags "-O2 -g -Wall -Werror -mcpu=v3 -idirafter $headers" object shortcut.c
{
	clang --version | head -n 1 | tr -dc '0-9.\n' | sed 's/^\([0-9]*\).*/# clang \1/'
	sha256sum shortcut.c object_bpfeb.o object_bpfel.o
} >object.sum
