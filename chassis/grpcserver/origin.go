package grpcserver

import (
	"net"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// locate finds out where the call came from and who is calling.
func (cl *call) locate(method string) {
	c := cl.chain
	var remote net.Addr
	if cl.peer != nil {
		remote = cl.peer.Addr
	}
	from := c.guard.Peer(remote)
	if from.AwaitsHeader() {
		from = c.guard.Recall(remote, drain.AddrNote(remote))
	}
	var named []string
	if c.forwarded != "" && from.Trusted() {
		named = cl.md[c.forwarded]
	}
	cl.Peer, cl.Trusted = acl.AddrPort(remote), from.Trusted()
	if cl.Client, cl.verdict = c.guard.Check(from, named, method); !cl.verdict.Allowed() {
		c.counts.RefuseRequest(kpi.DeniedRequest)
	}
}

// admit refuses clients that may not call.
func (cl *call) admit() error {
	if cl.verdict.Allowed() {
		return nil
	}
	return failure.Forbidden.With("client", cl.Client.String()).With("verdict", cl.verdict.String())
}
