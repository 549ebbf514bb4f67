package failure_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// panicOf is the text f panics with; the test fails when it does not panic.
func panicOf(t *testing.T, f func()) (text string) {
	t.Helper()
	defer func() {
		v := recover()
		if v == nil {
			t.Fatal("did not panic")
		}
		text = fmt.Sprint(v)
	}()
	f()
	return ""
}

func TestAWrongDeclarationPanicsAndSaysWhatAndWhere(t *testing.T) {
	for name, c := range map[string]struct {
		declare func(s *failure.Set)
		want    string
	}{
		"number zero":     {func(s *failure.Set) { s.Caller(0, "x") }, "code 0 .*: a number is 1 or more$"},
		"negative number": {func(s *failure.Set) { s.Service(-4, "x") }, "code -4 .*: a number is 1 or more$"},
		"number of the chassis": {func(s *failure.Set) { s.Dependency(999, "x") },
			"code 999 .*: numbers below 1000 belong to the chassis$"},
		"number too long": {func(s *failure.Set) { s.NotProblem(10_000_000, "x") }, "a number is at most 9999999$"},
		"number declared twice": {func(s *failure.Set) { s.Caller(1001, "first"); s.Service(1001, "second") },
			`already declared at \S+/failure_test/set_test\.go:\d+ as "first"$`},
		"after sealing": {func(s *failure.Set) { s.Seal(); s.Seal(); s.Caller(1001, "x") },
			`declared after the set was sealed at \S+/failure_test/set_test\.go:\d+; declare codes in package-level variables$`},
		"empty message":           {func(s *failure.Set) { s.Caller(1001, " ") }, "the message is empty$"},
		"message of two lines":    {func(s *failure.Set) { s.Caller(1001, "a\nb") }, `"a\\nb" is not one line of printable text$`},
		"message that is no text": {func(s *failure.Set) { s.Caller(1001, "a\xff") }, `not one line of printable text$`},
		"message too long":        {func(s *failure.Set) { s.Caller(1001, strings.Repeat("x", 257)) }, "has 257 bytes, more than 256$"},
		"HTTP status of success": {func(s *failure.Set) { s.Caller(1001, "x", failure.HTTPStatus(200)) },
			"HTTP status 200 is not from 400 to 599$"},
		"HTTP status out of range": {func(s *failure.Set) { s.Service(1001, "x", failure.HTTPStatus(600)) },
			"HTTP status 600 is not from 400 to 599$"},
		"Caller with 5xx": {func(s *failure.Set) { s.Caller(1001, "x", failure.HTTPStatus(500)) },
			"HTTP status 500 does not suit class caller, which answers 4xx$"},
		"Service with 4xx": {func(s *failure.Set) { s.Service(1001, "x", failure.HTTPStatus(404)) },
			"HTTP status 404 does not suit class service, which answers 5xx$"},
		"Dependency with 4xx": {func(s *failure.Set) { s.Dependency(1001, "x", failure.HTTPStatus(404)) },
			"HTTP status 404 does not suit class dependency, which answers 5xx$"},
		"gRPC OK": {func(s *failure.Set) { s.Caller(1001, "x", failure.GRPCCode(failure.GRPCOK)) },
			"gRPC code OK is not from 1"},
		"gRPC code out of range": {func(s *failure.Set) { s.Caller(1001, "x", failure.GRPCCode(17)) },
			`gRPC code grpc\(17\) is not from 1 \(CANCELLED\) to 16 \(UNAUTHENTICATED\)$`},
		"negative wait":      {func(s *failure.Set) { s.Service(1001, "x", failure.Retryable(-time.Second)) }, "retry after -1s is negative$"},
		"runbook of no host": {func(s *failure.Set) { s.Service(1001, "x", failure.Runbook("/pages")) }, `runbook "/pages" is no absolute http or https URL$`},
		"runbook that is no URL": {func(s *failure.Set) { s.Service(1001, "x", failure.Runbook("http://a b")) },
			"runbook: parse .*invalid character"},
		"Caller that pages": {func(s *failure.Set) { s.Caller(1001, "x", failure.Alert(failure.Page)) },
			"class caller never alarms, so its severity cannot be page$"},
		"NotProblem that makes tickets": {func(s *failure.Set) { s.NotProblem(1001, "x", failure.Alert(failure.Ticket)) },
			"class not_problem never alarms, so its severity cannot be ticket$"},
		"unknown severity": {func(s *failure.Set) { s.Service(1001, "x", failure.Alert(9)) }, `severity\(9\) is none of silent, ticket, page$`},
	} {
		t.Run(name, func(t *testing.T) {
			s := failure.NewSet("shop")
			got := panicOf(t, func() { c.declare(s) })
			if !regexp.MustCompile(c.want).MatchString(got) {
				t.Errorf("panics with %q, want a match of %q", got, c.want)
			}
			if prefix := regexp.MustCompile(`^failure: set "shop", code -?\d+ \(\S+/failure_test/set_test\.go:\d+\): `); !prefix.MatchString(got) {
				t.Errorf("panics with %q, which does not name set, number and place", got)
			}
		})
	}
}

func TestAWrongDeclarationLeavesTheSetAsItWas(t *testing.T) {
	s := failure.NewSet("shop")
	panicOf(t, func() { s.Caller(1001, "x", failure.HTTPStatus(1)) })
	if got := s.Codes(); len(got) != 0 {
		t.Errorf("Codes = %v, want none", got)
	}
	if c := s.Caller(1001, "x"); c.Number() != 1001 {
		t.Errorf("declared %v", c)
	}
}

func TestASetNameIsChecked(t *testing.T) {
	for _, name := range []string{"", "Game", "1st", "a_b", "-a", "a-", "a.b", "ü", strings.Repeat("a", 41)} {
		got := panicOf(t, func() { failure.NewSet(name) })
		if !strings.Contains(got, "a name is at most 40") || !strings.Contains(got, "set_test.go:") {
			t.Errorf("NewSet(%q) panics with %q", name, got)
		}
	}
	if got := panicOf(t, func() { failure.NewSet("chassis") }); !strings.Contains(got, "belongs to the chassis") {
		t.Errorf("NewSet(chassis) panics with %q", got)
	}
	for _, name := range []string{"a", "a-1", strings.Repeat("a", 40)} {
		c := failure.NewSet(name).Caller(9_999_999, "x")
		if reason := c.Reason(); len(reason) > 63 || !regexp.MustCompile(`^[A-Z][A-Z0-9_]+[A-Z0-9]$`).MatchString(reason) {
			t.Errorf("set %q: reason %q is not what AIP-193 wants", name, reason)
		}
	}
}

func TestOnlyNewSetMakesASetToDeclareIn(t *testing.T) {
	for _, s := range []*failure.Set{nil, {}} {
		if got := panicOf(t, func() { s.Caller(1001, "x") }); !strings.Contains(got, "NewSet did not make") {
			t.Errorf("panics with %q", got)
		}
	}
}

func TestANilSetIsReadLikeAnEmptyOne(t *testing.T) {
	var s *failure.Set
	s.Seal()
	_, found := s.Lookup(1)
	if s.Name() != "" || s.Codes() != nil || len(s.Describe()) != 0 || found {
		t.Error("a nil set is not empty")
	}
}

func TestNobodyElseDeclaresInTheSetOfTheChassis(t *testing.T) {
	got := panicOf(t, func() { failure.Chassis.Caller(77, "mine") })
	if !regexp.MustCompile(`set "chassis", code 77 .*sealed at \S+/chassis/failure/chassis\.go:\d+`).MatchString(got) {
		t.Errorf("panics with %q", got)
	}
}

func TestStatusesFollowFromClassAndFromEachOther(t *testing.T) {
	s := failure.NewSet("shop")
	number := 1000
	next := func() int { number++; return number }
	for name, c := range map[string]struct {
		code     *failure.Code
		status   int
		grpc     string
		severity failure.Severity
	}{
		"caller":                             {s.Caller(next(), "x"), 400, "INVALID_ARGUMENT", failure.Silent},
		"service":                            {s.Service(next(), "x"), 500, "INTERNAL", failure.Page},
		"dependency":                         {s.Dependency(next(), "x"), 502, "UNAVAILABLE", failure.Ticket},
		"not a problem":                      {s.NotProblem(next(), "x"), 404, "NOT_FOUND", failure.Silent},
		"severity given":                     {s.Service(next(), "x", failure.Alert(failure.Silent)), 500, "INTERNAL", failure.Silent},
		"both given":                         {s.Caller(next(), "x", failure.HTTPStatus(409), failure.GRPCCode(failure.GRPCAborted)), 409, "ABORTED", failure.Silent},
		"from gRPC":                          {s.Caller(next(), "x", failure.GRPCCode(failure.GRPCAlreadyExists)), 409, "ALREADY_EXISTS", failure.Silent},
		"from gRPC, unsuitable for Service":  {s.Service(next(), "x", failure.GRPCCode(failure.GRPCResourceExhausted)), 500, "RESOURCE_EXHAUSTED", failure.Page},
		"from gRPC, unsuitable for Caller":   {s.Caller(next(), "x", failure.GRPCCode(failure.GRPCUnavailable)), 400, "UNAVAILABLE", failure.Silent},
		"from gRPC, anything for NotProblem": {s.NotProblem(next(), "x", failure.GRPCCode(failure.GRPCUnavailable)), 503, "UNAVAILABLE", failure.Silent},
		"from 401":                           {s.Caller(next(), "x", failure.HTTPStatus(401)), 401, "UNAUTHENTICATED", failure.Silent},
		"from 403":                           {s.Caller(next(), "x", failure.HTTPStatus(403)), 403, "PERMISSION_DENIED", failure.Silent},
		"from 404":                           {s.Caller(next(), "x", failure.HTTPStatus(404)), 404, "NOT_FOUND", failure.Silent},
		"from 405":                           {s.Caller(next(), "x", failure.HTTPStatus(405)), 405, "UNIMPLEMENTED", failure.Silent},
		"from 409":                           {s.Caller(next(), "x", failure.HTTPStatus(409)), 409, "FAILED_PRECONDITION", failure.Silent},
		"from 413":                           {s.Caller(next(), "x", failure.HTTPStatus(413)), 413, "RESOURCE_EXHAUSTED", failure.Silent},
		"from 416":                           {s.Caller(next(), "x", failure.HTTPStatus(416)), 416, "OUT_OF_RANGE", failure.Silent},
		"from 422":                           {s.Caller(next(), "x", failure.HTTPStatus(422)), 422, "INVALID_ARGUMENT", failure.Silent},
		"from 499":                           {s.Caller(next(), "x", failure.HTTPStatus(499)), 499, "CANCELLED", failure.Silent},
		"from 503":                           {s.Service(next(), "x", failure.HTTPStatus(503)), 503, "UNAVAILABLE", failure.Page},
		"from 504":                           {s.Dependency(next(), "x", failure.HTTPStatus(504)), 504, "DEADLINE_EXCEEDED", failure.Ticket},
		"from 599":                           {s.Service(next(), "x", failure.HTTPStatus(599)), 599, "INTERNAL", failure.Page},
	} {
		t.Run(name, func(t *testing.T) {
			if c.code.HTTPStatus() != c.status || c.code.GRPCCode().String() != c.grpc || c.code.Severity() != c.severity {
				t.Errorf("%d %v %v, want %d %s %v", c.code.HTTPStatus(), c.code.GRPCCode(), c.code.Severity(), c.status, c.grpc, c.severity)
			}
		})
	}
}

func TestTheCodesOfTheChassisAreWhatHostsRelyOn(t *testing.T) {
	var got []string
	for _, c := range failure.Chassis.Codes() {
		got = append(got, fmt.Sprintf("%d %v %d %v %v %v", c.Number(), c.Class(), c.HTTPStatus(), c.GRPCCode(), c.Severity(), c.Retryable()))
	}
	want := []string{
		"1 service 500 INTERNAL page false",
		"2 service 503 UNAVAILABLE ticket true",
		"3 service 500 INTERNAL silent false",
		"400 caller 400 INVALID_ARGUMENT silent false",
		"401 caller 401 UNAUTHENTICATED silent false",
		"403 caller 403 PERMISSION_DENIED silent false",
		"404 caller 404 UNIMPLEMENTED silent false",
		"405 caller 405 UNIMPLEMENTED silent false",
		"408 caller 408 DEADLINE_EXCEEDED silent false",
		"413 caller 413 RESOURCE_EXHAUSTED silent false",
		"415 caller 415 INVALID_ARGUMENT silent false",
		"429 caller 429 RESOURCE_EXHAUSTED silent true",
		"431 caller 431 RESOURCE_EXHAUSTED silent false",
		"499 not_problem 499 CANCELLED silent false",
		"503 service 503 UNAVAILABLE page true",
		"504 service 504 DEADLINE_EXCEEDED ticket false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("codes of the chassis:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if c, ok := failure.Chassis.Lookup(1); !ok || c != failure.Unclassified {
		t.Error("code 1 is not Unclassified")
	}
}

func TestACodeTellsAllThatWasDeclared(t *testing.T) {
	s := failure.NewSet("front-shop")
	c := s.Service(1002, "the shelf is on fire", failure.HTTPStatus(http.StatusServiceUnavailable),
		failure.Retryable(1500*time.Millisecond), failure.Runbook("https://example.org/fire"), failure.Alert(failure.Ticket))
	s.Caller(1001, "no such shelf")

	if got := c.Error(); got != "front-shop 1002: the shelf is on fire" {
		t.Errorf("Error = %q", got)
	}
	if c.Set() != "front-shop" || s.Name() != "front-shop" || c.Message() != "the shelf is on fire" ||
		c.RetryAfter() != 1500*time.Millisecond || c.Runbook() != "https://example.org/fire" ||
		c.TypeURI() != "urn:failure:front-shop:1002" || c.Reason() != "FRONT_SHOP_1002" {
		t.Errorf("the code forgot something: %+v", c.Describe())
	}
	if place := c.Place(); !regexp.MustCompile(`^github\.com/\S+/chassis/failure_test/set_test\.go:\d+$`).MatchString(place) {
		t.Errorf("Place = %q", place)
	}

	all := s.Describe()
	if len(all) != 2 || all[0].Number != 1001 || all[1] != c.Describe() {
		t.Fatalf("Describe = %+v, want both codes by number", all)
	}
	data, err := json.Marshal(all[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"set":"front-shop","number":1002,"message":"the shelf is on fire","class":"service","http_status":503,` +
		`"grpc_code":"UNAVAILABLE","type":"urn:failure:front-shop:1002","reason":"FRONT_SHOP_1002","retryable":true,` +
		`"retry_after_seconds":1.5,"severity":"ticket","runbook":"https://example.org/fire","place":"` + c.Place() + `"}`
	if string(data) != want {
		t.Errorf("as JSON\n%s\nwant\n%s", data, want)
	}
	var back failure.Description
	if err := json.Unmarshal(data, &back); err != nil || back != all[1] {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestNamesAreReadBackAndOthersRefused(t *testing.T) {
	var class failure.Class
	var severity failure.Severity
	var grpc failure.GRPC
	for _, c := range []struct {
		text string
		into encoding.TextUnmarshaler
		got  func() string
		bad  string
	}{
		{"not_problem", &class, func() string { return class.String() }, `"nonsense" is no failure class; known are caller, service, dependency, not_problem`},
		{"page", &severity, func() string { return severity.String() }, `"nonsense" is no failure severity; known are silent, ticket, page`},
		{"UNAUTHENTICATED", &grpc, func() string { return grpc.String() }, `"nonsense" is no failure grpc; known are OK, CANCELLED`},
	} {
		if err := c.into.UnmarshalText([]byte(c.text)); err != nil || c.got() != c.text {
			t.Errorf("%s: read %q, %v", c.text, c.got(), err)
		}
		if err := c.into.UnmarshalText([]byte("nonsense")); err == nil || !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: error %v, want %q", c.text, err, c.bad)
		}
		if c.got() != c.text {
			t.Errorf("%s: a failed read changed it to %q", c.text, c.got())
		}
	}
	if got := failure.Class(0).String() + failure.Class(9).String(); got != "class(9)" {
		t.Errorf("names of no classes: %q", got)
	}
}

func TestASetMayBeDeclaredInAndReadAtOnce(t *testing.T) {
	s := failure.NewSet("shop")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				s.Caller(1000+20*i+n, "x")
				s.Codes()
				s.Lookup(1000)
			}
		})
	}
	wg.Wait()
	if got := len(s.Codes()); got != 160 {
		t.Errorf("%d codes, want 160", got)
	}
}

func TestEveryGRPCCodeHasTheHTTPStatusThatGoogleDocuments(t *testing.T) {
	s := failure.NewSet("shop")
	want := []int{1: 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401}
	for grpc := failure.GRPCCancelled; grpc <= failure.GRPCUnauthenticated; grpc++ {
		c := s.NotProblem(1000+int(grpc), "x", failure.GRPCCode(grpc))
		if c.HTTPStatus() != want[grpc] || c.GRPCCode() != grpc {
			t.Errorf("%v: HTTP status %d, want %d", grpc, c.HTTPStatus(), want[grpc])
		}
	}
}
