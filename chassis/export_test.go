package chassis

import "net/http"

// VersionOf is for builds that a test binary is not.
var VersionOf = versionOf

// ListenerHandler is what a listener's requests go through, for benchmarks without a connection.
func ListenerHandler(s *Service, name string) http.Handler {
	for _, l := range s.listeners {
		if e, ok := l.server.(*endpoint); ok && l.name == name {
			return e
		}
	}
	return nil
}
