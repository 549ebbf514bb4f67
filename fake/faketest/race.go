//go:build race

package faketest

// slowdown is how much more time the race detector's instrumentation takes, generously.
const slowdown = 20
