//go:build !race

package faketest

// slowdown is 1 without the race detector.
const slowdown = 1
