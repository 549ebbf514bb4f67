//go:build race

package gamefake_test

const raceEnabled = true
