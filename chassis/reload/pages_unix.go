//go:build unix && !linux

package reload

// dropPages does nothing: only Linux tells which pages these are.
func dropPages() {}
