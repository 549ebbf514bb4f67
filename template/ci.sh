#!/bin/sh
# What a change must pass; CI runs it, and so can you. It needs Go, and a C compiler for -race.
# usage: ./ci.sh
set -eu
cd "$(dirname "$0")"

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'ci.sh: run gofmt -w on:\n%s\n' "$unformatted" >&2
  exit 1
fi
go vet ./...
CI=true go test -race ./...
mkdir -p out
go build -trimpath -o out/ ./cmd/...
out/echod -check
