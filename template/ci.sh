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

# That each failure code is declared once and answered in one place, and no number is used again: by the
# tools of the very version of the chassis that go.mod names, which therefore need not be in go.mod. They
# are downloaded by themselves because "go run", where GONOPROXY or GOPRIVATE is set, looks for their
# packages in the chassis alone once that is in the module cache.
chassis=github.com/seed-754044b3/roadworthy
version=$(go list -m -f '{{.Version}}' "$chassis")
go mod download "$chassis/tools@$version"
go run "$chassis/tools/cmd/faillint@$version" ./...
go run "$chassis/tools/cmd/roadworthy@$version" failures check

CI=true go test -race ./...
mkdir -p out
go build -trimpath -o out/ ./cmd/...
out/echod -check
