//go:build !unix

package chassis

// takeRole does nothing: without unix sockets there are no workers.
func (p *process) takeRole(*World) (code int, ended bool) { return 0, false }
