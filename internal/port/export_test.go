package port

// Choose is Addrs with ports of the caller's.
func Choose(n int, next func() int) ([]string, error) { return addrs(n, next) }
