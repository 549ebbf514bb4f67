package jetstream

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// An address is what a URL says.
type address struct {
	servers  string // as nats.Connect takes them; may hold passwords
	name     string
	replicas int
	creds    string // path, "" for none
}

const maxNameBytes = 64

// parseAddress takes apart what follows the scheme. Errors do not repeat hosts, which may have a password.
func parseAddress(scheme, rest string) (address, error) {
	a := address{replicas: 3}
	rest, found := strings.CutPrefix(rest, "//")
	if !found {
		return a, invalid("%s: wants two slashes; write %s://HOST/NAME", scheme, scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	// A password may hold a slash; a name cannot.
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return a, invalid("%s: names no stream; write %s://HOST/NAME", scheme, scheme)
	}
	hosts, name := rest[:i], rest[i+1:]
	if !validName(name) {
		return a, invalid("%s: the stream has no good name; it is 1 to %d letters, digits, - and _", scheme, maxNameBytes)
	}
	a.name = name
	var servers []string
	for i, host := range strings.Split(hosts, ",") {
		u, err := url.Parse(scheme + "://" + host)
		if err != nil || u.Hostname() == "" || u.Path != "" || u.Fragment != "" {
			return a, invalid("%s: host %d is none; write HOST, HOST:PORT or USER:PASSWORD@HOST:PORT, with %% escapes in the password", scheme, i+1)
		}
		servers = append(servers, u.String())
	}
	a.servers = strings.Join(servers, ",")
	return a, a.options(query)
}

// options takes in what follows the question mark.
func (a *address) options(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return invalid("the options are no OPTION=VALUE&…")
	}
	for option, all := range values {
		value := all[len(all)-1]
		switch option {
		case "replicas":
			switch value {
			case "1", "3", "5":
				a.replicas = int(value[0] - '0')
			default:
				return invalid("replicas=%q; want 1, 3 or 5", value)
			}
		case "creds":
			if a.creds = value; value == "" {
				return invalid("creds names no file")
			}
		default:
			return invalid("there is no option %q; want replicas or creds", option)
		}
	}
	return nil
}

func validName(name string) bool {
	if name == "" || len(name) > maxNameBytes {
		return false
	}
	for i := range len(name) {
		if !plain(name[i]) {
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", journal.ErrInvalid, fmt.Sprintf(format, args...))
}
