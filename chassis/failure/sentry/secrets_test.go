package sentry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// planted are secrets in the texts in which they stand; %s is the part that must not be found anywhere.
var planted = []string{
	"password=%s", "postgres://app:%s@db:5432/games", "https://%s@example.com/repo", "root:%s@tcp(127.0.0.1:3306)/games",
	"amqp://guest:%s@mq/", "redis://:%s@cache:6379/0", "Authorization: Bearer %s", "Authorization: Basic %s",
	"Proxy-Authorization: %s", "Cookie: sid=%s; theme=dark", "Set-Cookie: session=%s; HttpOnly", "X-Api-Key: %s",
	"X-Vault-Token: %s", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi%s.c2lnbmF0dXJl", "token %s was refused", "otp %s",
	"card 4111111111111111 of %s", "mail for %s@example.com bounced", "contact %s%%40example.com", "ssn 078-05-1120 of %s",
	"AWS_SECRET_ACCESS_KEY=%s", "DATABASE_URL=mysql://u:%s@h/d", "HOME=/home/%s PATH=/bin", "AKIA%sEXAMPLE", "ghp_%s0123456789abcdef",
	"xoxb-123456789012-%s", "sk_live_%s0123456789", "AIza%s0123456789abcdefghijklmnop", "-----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----",
	"{Name:bob Password:%s Age:7}", `{"user":"bob","password":"%s"}`, `&config.DB{Host:"db", Passwd:"%s"}`, "map[secret:%s]",
	"UPDATE users SET password_hash = '%s' WHERE id = 1", "INSERT INTO users (name, pin) VALUES ('bob', '%s')",
	"SELECT * FROM sessions WHERE id = '%s'", "IDENTIFIED BY '%s'", "grant_type=code&client_secret=%s", "GET /login?code=%s HTTP/1.1",
	"open /home/%s/.ssh/id_rsa: permission denied", "dial tcp: lookup %s.internal: no such host", "unexpected value %s",
}

// secretOf is the part of a text that must not be found. It looks like nothing: only an allow-list
// keeps it back.
func secretOf(n int) string { return fmt.Sprintf("swordfish%02d", n) }

// ways are how a handler fails with a text, each by a code of its own or by none.
var (
	secretCodes = failure.NewSet("vault")
	errWrapped  = secretCodes.Service(1001, "the vault is broken")
	errPrivate  = secretCodes.Service(1002, "the vault is locked")
	errPlain    = secretCodes.Dependency(1003, "the vault does not answer")
	errSeveral  = secretCodes.Dependency(1004, "several things are wrong")
)

type account struct {
	Name, Password string
	Tokens         []string
}

var ways = map[string]func(text string) error{
	"wrapped":      func(text string) error { return errWrapped.Wrap(errors.New(text)) },
	"private":      func(text string) error { return errPrivate.With("value", failure.Private(text)) },
	"plain":        func(text string) error { return errPlain.With("account", account{"bob", text, []string{text}}) },
	"several":      func(text string) error { return errSeveral.Wrap(errors.Join(errors.New(text), fmt.Errorf("%q", text))) },
	"around":       func(text string) error { return fmt.Errorf("user %s: %w", text, errWrapped.New()) },
	"unclassified": func(text string) error { return &url.Error{Op: "Get", URL: text, Err: errors.New(text)} },
	"panic":        func(text string) error { panic(text) },
	"panic-error":  func(text string) error { panic(errors.New(text)) },
	"panic-struct": func(text string) error { panic(account{"bob", text, []string{text}}) },
	"panic-deep":   func(text string) error { return deep(3, text, []byte(text), map[string]string{text: text}) },
}

// deep panics below calls that have the text as arguments.
//
//go:noinline
func deep(n int, text string, raw []byte, m map[string]string) error {
	if n == 0 {
		return fmt.Errorf("%d", []int{}[len(raw)+len(m)]) // out of range
	}
	return deep(n-1, text, raw, m)
}

// vault is a service that fails as it is told.
type vaultConfig struct {
	HTTP   chassis.HTTPConfig `config:"http"`
	GRPC   grpcserver.Config  `config:"grpc"`
	Sentry sentry.Config      `config:"sentry"`
}

var vault = chassis.Spec[vaultConfig]{
	Name: "vault", Failures: secretCodes,
	Setup: func(_ context.Context, s *chassis.Service, cfg vaultConfig) error {
		if err := sentry.Use(s, cfg.Sentry); err != nil {
			return err
		}
		router := chassis.NewRouter()
		router.Handle("POST /fail/{way}", func(_ http.ResponseWriter, r *http.Request) error {
			text, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			return ways[r.PathValue("way")](string(text))
		})
		if err := s.HTTP("http", cfg.HTTP, router); err != nil {
			return err
		}
		return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) {
			r.RegisterService(&grpc.ServiceDesc{ServiceName: "test.Vault", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
				MethodName: "Fail",
				Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
					var text wrapperspb.StringValue
					if err := decode(&text); err != nil {
						return nil, err
					}
					md, _ := metadata.FromIncomingContext(ctx)
					return nil, ways[md.Get("way")[0]](text.GetValue())
				},
			}}}, nil)
		})
	},
}

// places is where secrets are looked for.
type places map[string]*bytes.Buffer

func (p places) add(name, text string) {
	if p[name] == nil {
		p[name] = &bytes.Buffer{}
	}
	p[name].WriteString(text)
}

func TestNoneOfFortySecretsLeavesAServiceThatFailsAndPanics(t *testing.T) {
	if len(planted) < 40 {
		t.Fatalf("%d secrets, want 40", len(planted))
	}
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	dir := t.TempDir()
	t.Setenv("VAULT_PASSWORD", secretOf(0))
	i, err := chassis.Start(t.Context(), vault, func(s *chassis.Settings, cfg *vaultConfig) {
		cfg.HTTP.Addr, cfg.GRPC.Addr, s.Admin.Addr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		cfg.Sentry = to(t, f)
		s.AccessLog = chassis.AccessLogConfig{Path: filepath.Join(dir, "access.log"), Format: "common", Privacy: "truncate"}
	}, chassis.World{Clock: c, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(i.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	found := places{}
	calls := 0
	for n, text := range planted {
		secret := secretOf(n)
		text = fmt.Sprintf(text, secret)
		for way := range ways {
			found.add("the answer over HTTP", askHTTP(t, i.Addr("http").String(), way, text, secret))
			found.add("the answer over gRPC", askGRPC(t, conn, way, text, secret))
			calls += 2
		}
		c.Advance(2 * time.Minute) // groups report the next failures at once
	}
	_ = conn.Close()
	for _, accept := range []string{"text/html", "application/json"} {
		page := get(t, "http://"+i.Addr("admin").String()+"/errors", accept)
		found.add("the page of errors", page)
		found.add("the page of errors", get(t, "http://"+i.Addr("admin").String()+"/status", accept))
	}
	counted(t, f, c, uint64(calls)) // all failures are told of
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, e := range f.Events() {
		found.add("an event", string(e.JSON))
	}
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	found.add("the access log", string(log))

	for _, name := range []string{"the answer over HTTP", "the answer over gRPC", "the page of errors", "an event", "the access log"} {
		text := found[name].String()
		if !strings.Contains(text, "vault") && !strings.Contains(text, "/fail/") {
			t.Errorf("%s says nothing: %.200s", name, text)
		}
		for n := range planted {
			if at := strings.Index(text, secretOf(n)); at >= 0 {
				t.Errorf("%s has secret %d, %q: %s", name, n, planted[n], text[max(at-100, 0):min(at+50, len(text))])
			}
		}
	}
}

// askHTTP has the service fail and returns all of its answer. The secret is in everything that a
// request has.
func askHTTP(t *testing.T, addr, way, text, secret string) string {
	query := url.Values{"token": {secret}, "q": {text}, secret: {"x"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/fail/"+way+"?"+query.Encode(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Custom", "User-Agent", "Accept-Language", "X-Forwarded-For"} {
		req.Header.Set(name, "Bearer "+secret)
	}
	req.Header.Set("Referer", "https://example.com/?token="+secret)
	req.AddCookie(&http.Cookie{Name: "sid", Value: secret})
	req.SetBasicAuth("bob", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode < 500 {
		t.Fatalf("%s: answered %d %s, %v", way, resp.StatusCode, body, err)
	}
	return fmt.Sprint(resp.Status, resp.Header, string(body))
}

// askGRPC is askHTTP over gRPC.
func askGRPC(t *testing.T, conn *grpc.ClientConn, way, text, secret string) string {
	ctx := metadata.AppendToOutgoingContext(t.Context(), "way", way, "authorization", "Bearer "+secret, "x-api-key", secret, "cookie", "sid="+secret)
	var header, trailer metadata.MD
	err := conn.Invoke(ctx, "/test.Vault/Fail", wrapperspb.String(text), &wrapperspb.StringValue{}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err == nil {
		t.Fatalf("%s: no error", way)
	}
	return fmt.Sprint(status.Convert(err).Proto(), header, trailer)
}

func get(t *testing.T, address, accept string) string {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: answered %d %s, %v", address, resp.StatusCode, body, err)
	}
	return string(body)
}
