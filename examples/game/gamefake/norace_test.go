//go:build !race

package gamefake_test

const raceEnabled = false
