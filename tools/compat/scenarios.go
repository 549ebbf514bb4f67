package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// What Scenarios runs.
const (
	// ProductionPackage is the service's command.
	ProductionPackage = "./examples/game/cmd/gamed"
	// ScenariosPackage has the service's scenarios and a test that compares two builds of the command.
	ScenariosPackage = "./examples/game/scenarios"

	twoBuilds = "OnTwoBuildsOfTheProductionProgram$"
)

// Scenarios runs every scenario of the tree at root on the production program of the tree and on that of a
// release, and compares what comes of them. A difference need not be wrong: it is what a change log should tell,
// and is in the error, with - for the tree and + for the release.
func Scenarios(ctx context.Context, root string, r Release, o Options, out io.Writer) error {
	m := newMatrix(o, out)
	return temporary(func(dir string) (err error) {
		tree := filepath.Join(dir, "tree")
		remove, err := checkout(ctx, root, r, tree)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, remove()) }()
		program := filepath.Join(dir, "production")
		if err := m.build(ctx, tree, r.Version, program, ProductionPackage); err != nil {
			return err
		}
		said := &tail{}
		m.Log = said
		if o.Log != nil {
			m.Log = io.MultiWriter(said, o.Log)
		}
		if err := m.run(ctx, root, "go", "test", "-count=1", "-run", twoBuilds, ScenariosPackage, "-other", program); err != nil {
			return fmt.Errorf("scenarios of this tree do not come out the same on %s: %w", r.Version, err)
		}
		// A test that is not there is a success to go test.
		if text := said.String(); strings.Contains(text, "[no tests to run]") || strings.Contains(text, "[no test files]") {
			return fmt.Errorf("nothing was compared with %s: %s of this tree has no test whose name ends in %s", r.Version, ScenariosPackage, strings.TrimSuffix(twoBuilds, "$"))
		}
		fmt.Fprintf(out, "every scenario of this tree comes out the same on %s\n", r.Version)
		return nil
	})
}
