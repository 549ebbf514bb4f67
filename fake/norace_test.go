//go:build !race

package fake_test

// leakCycles is how often a fake is started to see what it leaves.
const leakCycles = 500
