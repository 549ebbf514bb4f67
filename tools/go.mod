module github.com/seed-754044b3/roadworthy/tools

go 1.26.0

require github.com/seed-754044b3/roadworthy v0.1.0
