package sentry

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"github.com/getsentry/sentry-go"
)

// endpoint is where envelopes are posted to.
type endpoint struct {
	url  string
	auth string // of X-Sentry-Auth; secret
	host string // for logs
}

var (
	projectID = regexp.MustCompile(`^[0-9]{1,20}$`)
	publicKey = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)
)

// client is how we introduce ourselves: the event format is sentry-go's.
const client = "sentry.go.roadworthy/" + sentry.SDKVersion

// parseDSN reads PROTOCOL://PUBLIC_KEY:SECRET_KEY@HOST/PATH/PROJECT, of which the secret key and the
// path are optional. No error quotes the DSN: the key would be in it.
func parseDSN(dsn string) (*endpoint, error) {
	const want = "want https://KEY@HOST/PROJECT, as Sentry shows it under Client Keys"
	u, err := url.Parse(dsn)
	switch {
	case err != nil:
		return nil, errors.New("it is no URL; " + want)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("its scheme is %.10q, not http or https; %s", u.Scheme, want)
	case u.User == nil || u.User.Username() == "":
		return nil, errors.New("it has no key before the host; " + want)
	case !publicKey.MatchString(u.User.Username()):
		return nil, errors.New("its key has other characters than letters and digits; " + want)
	case u.Hostname() == "":
		return nil, errors.New("it has no host; " + want)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it has something behind the project number; " + want)
	}
	d, err := sentry.NewDsn(dsn)
	if err != nil {
		return nil, errors.New("it has no project number; " + want)
	}
	if !projectID.MatchString(d.GetProjectID()) {
		return nil, errors.New("it does not end with a project number; " + want)
	}
	auth := "Sentry sentry_version=7, sentry_client=" + client + ", sentry_key=" + d.GetPublicKey()
	if d.GetSecretKey() != "" {
		auth += ", sentry_secret=" + url.QueryEscape(d.GetSecretKey())
	}
	return &endpoint{url: d.GetAPIURL().String(), auth: auth, host: u.Host}, nil
}
