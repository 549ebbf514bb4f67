// Package compat holds this tree against the releases that docs/releases.md records, so that a change which
// breaks somebody who has not upgraded yet is seen before it lands.
//
// [Matrix] runs the client suites of earlier releases against the fake of this tree, and those of this tree
// against the fakes of earlier releases: of two teams that depend on each other, one always upgrades first.
// [Breaking] compares the protobuf contracts with those of the last release, and [Promises] its routes, metrics
// and failure codes. [Scenarios] tells where the service behaves otherwise. What may change at all stands in
// docs/compatibility.md; command compat runs all of them.
package compat
