// Command sentryfake is a network fake of Sentry, for the test suites of its clients in any language.
// -h lists its flags.
package main

import "github.com/seed-754044b3/roadworthy/fake/sentryfake"

func main() { sentryfake.Main() }
