//go:build race

package fake_test

// leakCycles is how often a fake is started to see what it leaves; fewer, since the race detector makes
// each ten times as long.
const leakCycles = 50
