package fake

import (
	"net/http"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// maxControlBody bounds a request to the control plane. Events for the journal are the largest.
const maxControlBody = 8 << 20

// asked is one request to the control plane.
type asked = control.Request

// endpoint is one thing that the control plane does.
type endpoint = control.Endpoint[*Fake]

// Control answers the fake's control plane: JSON over HTTP, whose GET / lists what there is, and
// GET /openapi.json describes it for generators of clients (OpenAPI 3.1).
// It is for suites outside this process. Serve it on loopback only, since whoever reaches it
// governs the fake: requests from elsewhere are refused, and so are those that a web page makes,
// by their Origin, or by a Host that a foreign name server has pointed here (DNS rebinding).
// Errors are problem documents (RFC 9457). [Main] serves it on a listener of its own, which no
// fault touches. A request with a [TenantHeader] is about that tenant.
func (f *Fake) Control() http.Handler {
	return control.Handler(f.governed, endpoints(), maxControlBody)
}

// governed finds the tenant that a request to the control plane is about.
func (f *Fake) governed(r *http.Request) (*Fake, error) {
	name := r.Header.Get(TenantHeader)
	if name == "" {
		return f, nil
	}
	if t := f.tenants.find(name); t != nil {
		return t, nil
	}
	return nil, control.Refuse(http.StatusNotFound, noTenant(name))
}
