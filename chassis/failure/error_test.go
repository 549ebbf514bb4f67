package failure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

func TestTheLogSeesEverythingAndTheClientOnlyWhatIsSafe(t *testing.T) {
	for name, c := range map[string]struct {
		err         *failure.Error
		log, client string
	}{
		"bare":       {errColumnFull.New(), "game 1042: column is full", "column is full"},
		"with cause": {errStore.Wrap(io.ErrUnexpectedEOF), "game 1201: the game store does not answer: unexpected EOF", "the game store does not answer"},
		"with arguments": {
			errColumnFull.With("column", failure.Safe(3)).With("seat", failure.Private("red")).With("token", "abc"),
			"game 1042: column is full (column=3, seat=red, token=abc)", "column is full (column=3)"},
		"all private":          {errColumnFull.With("token", "abc"), "game 1042: column is full (token=abc)", "column is full"},
		"wrapping nothing":     {errColumnFull.New().Wrap(nil), "game 1042: column is full", "column is full"},
		"two causes":           {errStore.Wrap(io.EOF).Wrap(fs.ErrClosed), "game 1201: the game store does not answer: EOF; file already closed", "the game store does not answer"},
		"values in need of ''": {errColumnFull.With("a", failure.Safe("x y")).With("b", failure.Safe("")).With("c", "1\n2").With("d e", "\"q\""), "game 1042: column is full (a=\"x y\", b=\"\", c=\"1\\n2\", \"d e\"=\"\\\"q\\\"\")", `column is full (a="x y", b="")`},
		"many types": {
			errColumnFull.With("bool", true).With("time", 2*time.Second).With("bytes", []byte("raw")).With("nil", nil).With("error", io.EOF),
			"game 1042: column is full (bool=true, time=2s, bytes=raw, nil=<nil>, error=EOF)", "column is full"},
		"a value that panics": {errColumnFull.With("v", (*fragile)(nil)), "game 1042: column is full (v=<nil>)", "column is full"},
		"broken UTF-8":        {errColumnFull.With("v", failure.Safe("a\xffb")), "game 1042: column is full (v=a?b)", "column is full (v=a?b)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.err.Error(); got != c.log {
				t.Errorf("log:\n%s\nwant\n%s", got, c.log)
			}
			if got := c.err.Detail(); got != c.client {
				t.Errorf("client:\n%s\nwant\n%s", got, c.client)
			}
		})
	}
}

type fragile struct{ text string }

func (f *fragile) String() string { return f.text }

func TestErrorsAreMatchedByCodeAndByCause(t *testing.T) {
	err := fmt.Errorf("outer: %w", errStore.Wrap(&fs.PathError{Op: "open", Path: "games.db", Err: fs.ErrNotExist}).Wrap(io.EOF))
	if !errors.Is(err, errStore) || !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, io.EOF) {
		t.Error("code or cause is not found")
	}
	if errors.Is(err, errColumnFull) || errors.Is(err, fs.ErrClosed) {
		t.Error("something is found that is not there")
	}
	if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Path != "games.db" {
		t.Error("the cause's type is not found")
	}
	if e, ok := errors.AsType[*failure.Error](err); !ok || e.Code() != errStore {
		t.Error("the failure's type is not found")
	}
	if !errors.Is(fmt.Errorf("outer: %w", errColumnFull), errColumnFull) {
		t.Error("a bare code is not found")
	}
	if errStore.New().Unwrap() != nil || errStore.Wrap(io.EOF).Unwrap() != io.EOF {
		t.Error("Unwrap is not the cause")
	}
}

func TestAddingMakesACopy(t *testing.T) {
	base := errColumnFull.With("a", 1).With("b", 2).With("c", 3)
	x, y := base.With("x", 1), base.With("y", 1)
	base.Wrap(io.EOF)
	base.After(time.Second)
	x.Args()[0].Value = "changed"
	for want, e := range map[string]*failure.Error{
		"game 1042: column is full (a=1, b=2, c=3)":      base,
		"game 1042: column is full (a=1, b=2, c=3, x=1)": x,
		"game 1042: column is full (a=1, b=2, c=3, y=1)": y,
	} {
		if e.Error() != want || e.Retryable() {
			t.Errorf("%v, want %s", e, want)
		}
	}
}

func TestAValueIsWhatItWasWhenItWasAdded(t *testing.T) {
	board := []int{1, 2}
	e := errColumnFull.With("board", failure.Safe(board))
	board[0] = 9
	if got := e.Detail(); got != `column is full (board="[1 2]")` {
		t.Errorf("Detail = %s", got)
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	e := errColumnFull.New()
	for i := range 20 {
		e = e.With(fmt.Sprint("k", i), failure.Safe(i))
	}
	if got := len(e.Args()); got != 16 {
		t.Errorf("%d arguments are kept, want 16", got)
	}
	if !strings.HasSuffix(e.Error(), "k15=15, 4 more)") || !strings.HasSuffix(e.Detail(), "k15=15)") {
		t.Errorf("%v\n%s", e, e.Detail())
	}

	for name, value := range map[string]any{
		"text":                   strings.Repeat("x", 10_000),
		"bytes":                  []byte(strings.Repeat("x", 10_000)),
		"a list":                 make([]int, 10_000),
		"letters of two bytes":   "x" + strings.Repeat("ü", 10_000),
		"letters of four bytes":  "x" + strings.Repeat("😀", 10_000),
		"continuation bytes":     strings.Repeat("\x80", 10_000),
		"letters between broken": strings.Repeat("a\xff", 5_000),
	} {
		arg := errColumnFull.With(strings.Repeat("k", 10_000), value).Args()[0]
		for _, s := range []string{arg.Key, arg.Value} {
			text, cut := strings.CutSuffix(s, "…")
			if !cut || len(text) > 256 || !utf8.ValidString(text) {
				t.Errorf("%s: kept %d bytes %q", name, len(s), s)
			}
		}
	}
	if got := errColumnFull.With("k", "x"+strings.Repeat("ü", 200)).Args()[0].Value; got != "x"+strings.Repeat("ü", 127)+"…" {
		t.Errorf("cut within a letter: %q", got)
	}
}

func TestALimiterKnowsBetterHowLongToWait(t *testing.T) {
	for name, c := range map[string]struct {
		err       *failure.Error
		retryable bool
		after     time.Duration
	}{
		"as declared":       {errStore.New(), true, 1500 * time.Millisecond},
		"not declared":      {errColumnFull.New(), false, 0},
		"longer":            {errStore.New().After(time.Minute), true, time.Minute},
		"not, yet this one": {errColumnFull.New().After(time.Second), true, time.Second},
		"negative":          {errStore.New().After(-time.Second), true, 0},
		"kept by With":      {errStore.New().After(time.Minute).With("a", 1).Wrap(io.EOF), true, time.Minute},
	} {
		if c.err.Retryable() != c.retryable || c.err.RetryAfter() != c.after {
			t.Errorf("%s: %v after %v", name, c.err.Retryable(), c.err.RetryAfter())
		}
	}
}

// rejected is an error type of another room that knows its code.
type rejected struct{ reason string }

func (r *rejected) Error() string { return "queue bots: " + r.reason }
func (r *rejected) Failure() *failure.Error {
	switch r.reason {
	case "full":
		return failure.Overloaded.With("queue", failure.Safe("bots"))
	case "self":
		return failure.Overloaded.Wrap(r)
	}
	return nil
}

// rejections cannot be compared, as some error types cannot.
type rejections []string

func (r rejections) Error() string           { return strings.Join(r, ", ") }
func (r rejections) Failure() *failure.Error { return failure.Overloaded.New() }

// mute does not say what it wraps.
type mute struct{ err error }

func (mute) Error() string   { return "it did not work" }
func (m mute) Unwrap() error { return m.err }

func TestFromFindsTheFailure(t *testing.T) {
	var noError *failure.Error
	var noCode *failure.Code
	full := errColumnFull.With("column", failure.Safe(3))
	for name, c := range map[string]struct {
		err    error
		code   *failure.Code
		log    string
		client string
	}{
		"an Error": {full, errColumnFull, "game 1042: column is full (column=3)", "column is full (column=3)"},
		"a Code":   {errColumnFull, errColumnFull, "game 1042: column is full", "column is full"},
		"a wrapped Error": {fmt.Errorf("join g1: %w", full), errColumnFull,
			"join g1: game 1042: column is full (column=3)", "column is full (column=3)"},
		"a wrapped Code": {fmt.Errorf("join g1: %w", errColumnFull), errColumnFull, "join g1: game 1042: column is full", "column is full"},
		"an Error in a wrapper that does not say so": {mute{full}, errColumnFull,
			"game 1042: column is full (column=3): it did not work", "column is full (column=3)"},
		"two Errors: the outer decides": {errStore.Wrap(full), errStore,
			"game 1201: the game store does not answer: game 1042: column is full (column=3)", "the game store does not answer"},
		"joined: the first decides": {errors.Join(io.EOF, full, errStore), errColumnFull,
			"EOF\ngame 1042: column is full (column=3)\ngame 1201: the game store does not answer", "column is full (column=3)"},
		"a Failer": {&rejected{"full"}, failure.Overloaded,
			"chassis 503: service is overloaded (queue=bots): queue bots: full", "service is overloaded (queue=bots)"},
		"a wrapped Failer": {fmt.Errorf("move: %w", &rejected{"full"}), failure.Overloaded,
			"chassis 503: service is overloaded (queue=bots): move: queue bots: full", "service is overloaded (queue=bots)"},
		"a Failer that wraps itself": {&rejected{"self"}, failure.Overloaded, "chassis 503: service is overloaded: queue bots: self", "service is overloaded"},
		"a Failer that cannot be compared": {rejections{"a", "b"}, failure.Overloaded,
			"chassis 503: service is overloaded: a, b", "service is overloaded"},
		"a Failer without a failure": {&rejected{"unknown"}, failure.Unclassified, "chassis 1: internal error: queue bots: unknown", "internal error"},
		"a deadline": {fmt.Errorf("query: %w", context.DeadlineExceeded), failure.DeadlineExceeded,
			"chassis 504: deadline exceeded: query: context deadline exceeded", "deadline exceeded"},
		"a caller that left": {context.Canceled, failure.CallerLeft, "chassis 499: caller went away: context canceled", "caller went away"},
		"a large body": {fmt.Errorf("decode: %w", &http.MaxBytesError{Limit: 1024}), failure.TooLarge,
			"chassis 413: request too large (limit=1024): decode: http: request body too large", "request too large (limit=1024)"},
		"a declared code around a deadline": {errStore.Wrap(context.DeadlineExceeded), errStore,
			"game 1201: the game store does not answer: context deadline exceeded", "the game store does not answer"},
		"anything else": {io.EOF, failure.Unclassified, "chassis 1: internal error: EOF", "internal error"},
		"a nil *Error":  {noError, failure.Unclassified, "chassis 1: internal error: a nil *failure.Error was returned as an error", "internal error"},
		"a nil *Code":   {noCode, failure.Unclassified, "chassis 1: internal error: a nil *failure.Code was returned as an error", "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			e := failure.From(c.err)
			if e.Code() != c.code || e.Error() != c.log || e.Detail() != c.client {
				t.Errorf("%v\nlog    %s\nclient %s\nwant\n%v\nlog    %s\nclient %s", e.Code(), e, e.Detail(), c.code, c.log, c.client)
			}
			if e != failure.From(e) {
				t.Error("From of its own result is another")
			}
		})
	}
	if failure.From(nil) != nil {
		t.Error("From(nil) is not nil")
	}
	if failure.From(full) != full {
		t.Error("From of an Error is another")
	}
}

func TestCodesAndErrorsAreFailers(t *testing.T) {
	full := errColumnFull.With("column", 3)
	for _, f := range []failure.Failer{errColumnFull, full} {
		if f.Failure().Code() != errColumnFull {
			t.Errorf("%v is the failure %v", f, f.Failure())
		}
	}
	if full.Failure() != full {
		t.Error("an Error's failure is another")
	}
}

func TestWhatFromFoundKeepsItsChainAndTakesMore(t *testing.T) {
	inner := errColumnFull.With("column", failure.Safe(3)).Wrap(io.EOF)
	e := failure.From(fmt.Errorf("drop: %w", inner)).With("game", "g1").Wrap(fs.ErrClosed)
	if want := "drop: game 1042: column is full (column=3): EOF; file already closed (game=g1)"; e.Error() != want {
		t.Errorf("log:\n%s\nwant\n%s", e, want)
	}
	if !errors.Is(e, io.EOF) || !errors.Is(e, fs.ErrClosed) || !errors.Is(e, errColumnFull) {
		t.Error("something of the chain was lost")
	}
	many := errColumnFull.New()
	for i := range 17 {
		many = many.With("k", i)
	}
	e = failure.From(fmt.Errorf("drop: %w", many)).With("k", 17)
	if !strings.HasPrefix(e.Error(), "drop: ") || !strings.HasSuffix(e.Error(), "k=15, 1 more) (1 more)") {
		t.Errorf("log: %s", e)
	}
}

func TestAPanicBecomesUnclassifiedWhateverItCarries(t *testing.T) {
	stack := []byte("goroutine 7 [running]:\nmain.main()")
	for name, c := range map[string]struct {
		value any
		log   string
	}{
		"text":          {"boom", "panic: boom"},
		"an error":      {io.EOF, "panic: EOF"},
		"a failure":     {errColumnFull.New(), "panic: game 1042: column is full"},
		"a nil panic":   {nilPanic(), "panic: " + new(runtime.PanicNilError).Error()},
		"Goexit":        {nil, "goroutine ended by runtime.Goexit"},
		"not hashable":  {[]int{1}, "panic: [1]"},
		"a long value":  {strings.Repeat("x", 300), "panic: " + strings.Repeat("x", 256) + "…"},
		"a nil pointer": {(*fragile)(nil), "panic: <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			e := failure.From(fmt.Errorf("serve: %w", failure.Recovered(c.value, stack)))
			if want := "serve: chassis 1: internal error: " + c.log; e.Code() != failure.Unclassified || e.Error() != want {
				t.Errorf("%s\nwant\n%s", e, want)
			}
			if e.Stack() != string(stack) || e.Detail() != "internal error" {
				t.Errorf("stack %q, client %q", e.Stack(), e.Detail())
			}
		})
	}
	if !errors.Is(failure.Recovered(io.EOF, nil), io.EOF) {
		t.Error("the panic's error is not found")
	}
	if got := failure.Recovered("x", make([]byte, 1<<20)).Stack(); len(got) != 64<<10 {
		t.Errorf("%d bytes of stack are kept", len(got))
	}
	if got := errColumnFull.New().Stack(); got != "" {
		t.Errorf("a failure that was no panic has the stack %q", got)
	}
}

func nilPanic() (v any) {
	defer func() { v = recover() }()
	panic(nil)
}

func TestOneErrorMayBeUsedByManyAtOnce(t *testing.T) {
	shared := errColumnFull.With("a", 1).With("b", failure.Safe(2)).With("c", 3)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				e := failure.From(fmt.Errorf("x: %w", shared.With("i", failure.Safe(i)).Wrap(io.EOF)))
				if args := e.Args(); len(args) != 4 || args[3].Value != fmt.Sprint(i) {
					t.Errorf("goroutine %d got %v", i, args)
				}
				e.Problem("")
			}
		})
	}
	wg.Wait()
	want := []failure.Argument{{Key: "a", Value: "1"}, {Key: "b", Value: "2", Safe: true}, {Key: "c", Value: "3"}}
	if got := shared.Args(); !slices.Equal(got, want) {
		t.Errorf("Args = %v, want %v", got, want)
	}
}

func BenchmarkFrom(b *testing.B) {
	err := fmt.Errorf("join: %w", errColumnFull.With("column", failure.Safe(3)))
	b.ReportAllocs()
	for b.Loop() {
		failure.From(err)
	}
}

func BenchmarkWith(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = errColumnFull.With("column", failure.Safe(3))
	}
}

func TestAnErrorMayBeAnsweredWithAnotherStatusThanItsCodeDeclares(t *testing.T) {
	for _, c := range []struct {
		status, http int
		grpc         failure.GRPC
	}{
		{503, 503, failure.GRPCUnavailable},
		{404, 404, failure.GRPCNotFound},
		{429, 429, failure.GRPCResourceExhausted},
		{418, 418, failure.GRPCInvalidArgument},
		{599, 599, failure.GRPCInternal},
		{200, 500, failure.GRPCInternal},
		{600, 500, failure.GRPCInternal},
	} {
		plain := failure.Injected.New()
		err := plain.WithStatus(c.status)
		if err.HTTPStatus() != c.http || err.GRPCCode() != c.grpc {
			t.Errorf("%d: %d, %v; want %d, %v", c.status, err.HTTPStatus(), err.GRPCCode(), c.http, c.grpc)
		}
		if p := err.Problem(""); p.Status != c.http || p.Code != failure.Injected.Number() {
			t.Errorf("%d: problem document %+v", c.status, p)
		}
		if !errors.Is(err, failure.Injected) || plain.HTTPStatus() != 500 || plain.GRPCCode() != failure.GRPCInternal {
			t.Errorf("%d: the code or the original changed", c.status)
		}
	}
	if err := errColumnFull.New(); err.HTTPStatus() != err.Code().HTTPStatus() || err.GRPCCode() != err.Code().GRPCCode() {
		t.Error("without another status the code's own holds")
	}
}

func TestOnlyWhatMayTellOfABrokenLineOfCodeKnowsWhereItWasMade(t *testing.T) {
	set := failure.NewSet("where")
	caller, expected := set.Caller(1001, "wrong"), set.NotProblem(1002, "nothing there")
	service, dependency := set.Service(1003, "broken"), set.Dependency(1004, "no answer")
	cause := errors.New("cause")
	for name, c := range map[string]struct {
		err  *failure.Error
		kept bool
	}{
		"new":                         {service.New(), true},
		"with":                        {dependency.With("a", 1).With("b", 2), true},
		"wrap":                        {dependency.Wrap(cause), true},
		"wrapped again":               {failure.From(fmt.Errorf("more: %w", service.New())), true},
		"unclassified":                {failure.Unclassified.Wrap(cause), true},
		"of a caller":                 {caller.With("a", 1), false},
		"expected":                    {expected.New(), false},
		"of the chassis":              {failure.Overloaded.Wrap(cause), false},
		"a bare code":                 {failure.From(service), false},
		"a bare code that is wrapped": {failure.From(fmt.Errorf("more: %w", service)), false},
		"without a code":              {failure.From(cause), false},
		"a panic":                     {failure.Recovered("x", nil), false},
	} {
		pcs := c.err.Callers()
		if (pcs != nil) != c.kept {
			t.Errorf("%s: callers %v, want some: %v", name, pcs, c.kept)
		}
		if len(pcs) == 0 {
			continue
		}
		if frame, _ := runtime.CallersFrames(pcs).Next(); !strings.HasSuffix(frame.Function, "failure_test.TestOnlyWhatMayTellOfABrokenLineOfCodeKnowsWhereItWasMade") || len(pcs) > 10 {
			t.Errorf("%s: made in %s, %d calls", name, frame.Function, len(pcs))
		}
	}
}

func TestAFailureOfTheCallersIsMadeWithoutAStack(t *testing.T) {
	cause := errors.New("cause")
	if n := testing.AllocsPerRun(100, func() { made = benchCaller.Wrap(cause) }); n > 2 {
		t.Errorf("%v allocations, want at most 2", n)
	}
	if n := testing.AllocsPerRun(100, func() { made = benchStore.Wrap(cause) }); n > 3 {
		t.Errorf("%v allocations with a stack, want at most 3", n)
	}
}
