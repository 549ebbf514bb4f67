package wire

import (
	"context"
	"net/http"
)

// RawOver is RawGRPC over a transport that is no network.
func RawOver(ctx context.Context, rt http.RoundTripper, service string) (*Raw, error) {
	r := &Raw{client: &http.Client{Transport: rt}, transport: &http.Transport{}, base: "http://service"}
	return r, r.ask(ctx, service)
}
