package roadworthy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/tools/roadworthy"
)

var (
	shopCodes = failure.NewSet("shop")
	errStore  = shopCodes.Dependency(1201, "the store does not answer", failure.Runbook("https://example.com/store"))
)

type shopConfig struct {
	HTTP chassis.HTTPConfig `config:"http"`
}

// shop is a service whose one route fails, with what it was told of the last failure.
type shop struct {
	*chassis.Instance
	t   *testing.T
	dir string
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, dir: t.TempDir()}
	spec := chassis.Spec[shopConfig]{Name: "shop", Failures: shopCodes, Setup: func(_ context.Context, s *chassis.Service, c shopConfig) error {
		r := chassis.NewRouter()
		r.Handle("GET /baskets", func(http.ResponseWriter, *http.Request) error { return errStore.New() })
		return s.HTTP("http", c.HTTP, r)
	}}
	i, err := chassis.Start(t.Context(), spec, func(set *chassis.Settings, _ *shopConfig) {
		set.Errors.Dir = filepath.Join(s.dir, "reports")
		set.Admin.Addr, set.Admin.Token = "unix:"+filepath.Join(s.dir, "admin"), config.NewSecret("let-me-in")
		set.AccessLog.Path, set.AccessLog.Format = filepath.Join(s.dir, "access.log"), `%h "%r" %>s %{request_id}x %{error_id}x`
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	s.Instance = i
	t.Cleanup(func() { _ = i.Stop(context.Background()) })
	return s
}

// fail has a request fail and returns the error id.
func (s *shop) fail() string {
	res, err := http.Get("http://" + s.Addr("http").String() + "/baskets")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	p, err := failure.ReadProblem(res)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.ID
}

func TestAnErrorIDIsFoundInAServiceItsReportsAndItsLogs(t *testing.T) {
	t.Setenv("ROADWORTHY_TOKEN", "let-me-in")
	s := newShop(t)
	s.fail()
	id := s.fail()
	admin := "unix:" + filepath.Join(s.dir, "admin")
	code, out, errs := ask(t, "error", "-admin", admin, strings.ToLower(id[:4]+"-"+id[4:]))
	for _, want := range []string{
		id + ", at " + admin + ":\n  shop 1201: the store does not answer (dependency)\n", "group    2 failures", "runbook  https://example.com/store",
		"sample   another of the group: the store does not answer\n", "route    GET /baskets", "roadworthy_test.newShop", "request  ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if code != 0 || errs != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := ask(t, "error", "-admin", admin, "000000000000"); code != 1 || errs != "roadworthy error: 000000000000 is nowhere\n" {
		t.Errorf("an id nobody was told: exit code %d, %s", code, errs)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	reports, log := filepath.Join(s.dir, "reports"), filepath.Join(s.dir, "access.log")
	code, out, errs = ask(t, "error", "-reports", reports, "-service", "shop", id, log)
	if code != 0 || errs != "" || !strings.Contains(out, id+", in the report of ") || !strings.Contains(out, log+":2: ") || strings.Contains(out, log+":1: ") {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log+".gz", zipped.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := ask(t, "error", id, log+".gz"); code != 0 || errs != "" || !strings.Contains(out, log+".gz:2: ") {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
}

func TestAnErrorIDIsNoPartOfAWord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	long := strings.Repeat("x", 2<<20)
	text := "aC4G76VVNE9HP C4G76VVNE9HPx\n" + long + "\n" + `{"error_id":"C4G76VVNE9HP"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := ask(t, "error", "C4G76VVNE9HP", path); code != 0 || out != path+`:3: {"error_id":"C4G76VVNE9HP"}`+"\n" {
		t.Errorf("exit code %d, %.200s", code, out)
	}
}

func TestWhatIsWrongWithAnErrorIDIsSaid(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.gz")
	if err := os.WriteFile(bad, []byte("no gzip, and long enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			_, _ = io.WriteString(w, "hello")
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer other.Close()
	const id = "C4G76VVNE9HP"
	for want, args := range map[string][]string{
		"want an error id behind the flags":   {},
		"there is nowhere to look":            {id},
		"belong together":                     {"-reports", dir, id},
		"8 characters, want 12":               {"-admin", "x", "C4G7-6VVN"},
		"no such file":                        {id, filepath.Join(dir, "none")},
		"gzip: invalid header":                {id, bad},
		"answers 401 Unauthorized":            {"-admin", other.URL + "/", id},
		"connect: no such file":               {"-admin", "unix:" + filepath.Join(dir, "none"), id},
		"-admin: parse":                       {"-admin", "http://a b", id},
		"flag provided but not defined: -why": {"-why"},
	} {
		if code, out, errs := ask(t, append([]string{"error"}, args...)...); code != 2 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, want %q", args, code, errs, want)
		}
	}
	t.Setenv("ROADWORTHY_TOKEN", "x")
	if code, _, errs := ask(t, "error", "-admin", strings.TrimPrefix(other.URL, "http://"), id); code != 2 || !strings.Contains(errs, "answers no failures") {
		t.Errorf("exit code %d, %q", code, errs)
	}
	if code, out, _ := ask(t, "error", "-h"); code != 0 || !strings.HasPrefix(out, "usage: roadworthy error ") {
		t.Errorf("help: exit code %d, %q", code, out)
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte(id), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	if code := roadworthy.Run([]string{"error", id, log}, full{}, &errs); code != 2 || errs.String() != "roadworthy error: disk full\n" {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}
