module github.com/seed-754044b3/roadworthy/tools

go 1.26.0

require golang.org/x/mod v0.42.0
