package main

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// listen binds address, or a free port in its place when it is taken: what is demonstrated
// should not fail for want of a port.
func (d *demo) listen(ctx context.Context, _, network, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, network, address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d.moved = append(d.moved, address)
	return config.Listen(ctx, network, net.JoinHostPort(host, "0"))
}
