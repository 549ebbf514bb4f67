package roster_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode/failcodetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/roster"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

const head = "import (\n\t\"net/http\"\n\t\"time\"\n\n\t\"github.com/seed-754044b3/roadworthy/chassis/failure\"\n)\n\nvar _ = time.Second + http.StatusOK\n"

// shop is a service with the given declarations, in the given package.
func shop(name string, declarations ...string) string {
	return "package " + name + "\n\n" + head + "\nvar codes = failure.NewSet(\"" + name + "\")\n\n" + strings.Join(declarations, "\n") + "\n"
}

const (
	errSold = "var errSold = codes.Caller(1001, \"sold out\", failure.HTTPStatus(http.StatusConflict))\nfunc Buy() error { return errSold }"
	errBank = "var errBank = codes.Dependency(1002, \"the bank | does_not answer\", failure.Retryable(2*time.Second), failure.Alert(failure.Page), failure.Runbook(\"https://example.com/bank\"), failure.GRPCCode(failure.GRPCUnavailable))\nfunc Pay() error { return errBank }"
)

func repository(t *testing.T, files map[string]string) string {
	t.Helper()
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "")
	return failcodetest.Repository(t, files)
}

func load(t *testing.T, dir string) *roster.Roster {
	t.Helper()
	r, err := roster.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func check(t *testing.T, dir string, c roster.Checking) roster.Result {
	t.Helper()
	found, err := load(t, dir).Check(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// says holds problems to texts, in order: each is part of one problem.
func says(t *testing.T, what string, got []roster.Problem, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.Contains(got[i].String(), want[i])
	}
	if !ok {
		t.Errorf("%s:\n%v\nwant these texts in them:\n%s", what, got, strings.Join(want, "\n"))
	}
}

func TestTheListHasWhatTheProgramWouldDescribe(t *testing.T) {
	dir := repository(t, map[string]string{
		"shop/shop.go":       shop("shop", errSold, errBank),
		"failure_codes.lock": "shop 999 retired \"closed\"\n",
	})
	r := load(t, dir)
	list, err := r.List("shop")
	if err != nil || len(list) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	var text bytes.Buffer
	if err := roster.WriteText(&text, list); err != nil {
		t.Fatal(err)
	}
	const want = `CODE       CLASS       HTTP  GRPC                 RETRY     ALERT   MESSAGE                     ANSWERED AT
shop 999   retired                                                  closed                      nowhere
shop 1001  caller      409   FAILED_PRECONDITION  no        silent  sold out                    shop/shop.go:15
shop 1002  dependency  503   UNAVAILABLE          after 2s  page    the bank | does_not answer  shop/shop.go:17
`
	if text.String() != want {
		t.Errorf("the list is\n%s\nwant\n%s", &text, want)
	}
	var described []map[string]any
	data, err := json.Marshal(list)
	if err == nil {
		err = json.Unmarshal(data, &described)
	}
	if err != nil || described[0]["retired"] != true || described[0]["message"] != "closed" || len(described[0]) != 4 {
		t.Errorf("%s, %v", data, err)
	}
	for key, want := range map[string]any{
		"set": "shop", "number": 1002.0, "class": "dependency", "reason": "SHOP_1002", "type": "urn:failure:shop:1002", "name": "errBank",
		"retry_after_seconds": 2.0, "severity": "page", "runbook": "https://example.com/bank", "declared": "shop/shop.go:16",
		"place": "github.com/seed-754044b3/roadworthy/shop/shop.go:16",
	} {
		if described[2][key] != want {
			t.Errorf("%s is %v, want %v", key, described[2][key], want)
		}
	}
	chassis, err := r.List("chassis")
	if err != nil || len(chassis) == 0 || chassis[0].Number != 1 || chassis[0].Reason != "CHASSIS_1" || len(chassis[0].Answered) != 0 {
		t.Errorf("the chassis's codes: %+v, %v", chassis, err)
	}
	text.Reset()
	if err := roster.WriteText(&text, chassis[:1]); err != nil || !strings.Contains(text.String(), "internal error  anywhere\n") {
		t.Errorf("%s, %v", &text, err)
	}
	if all, err := r.List(); err != nil || len(all) != len(chassis)+len(list) {
		t.Errorf("all are %d, %v", len(all), err)
	}
	if _, err := r.List("bank"); err == nil || !strings.Contains(err.Error(), "there is no failure set bank; there is: chassis, shop") {
		t.Errorf("a set that is not there: %v", err)
	}
}

func TestACodeThatCannotBeReadIsAProblem(t *testing.T) {
	dir := repository(t, map[string]string{"shop/shop.go": shop("shop",
		`const number = 1003`,
		`var again = failure.Retryable(0)`,
		`var wait = time.Second`,
		`func option(int) failure.Option { return again }`,
		`func pair() (int, int) { return 1, 2 }`,
		`var errConst = codes.Caller(number, "a constant")`,
		`var errOption = codes.Caller(1004, "an option in a variable", again)`,
		`var errWait = codes.Caller(1005, "an option of no constant", failure.Retryable(wait))`,
		`var errOwn = codes.Caller(1006, "an option of their own", option(1))`,
		`var errLow = codes.Caller(999, "a number of the chassis")`,
		`var errStatus = codes.Caller(1008, "a status of another class", failure.HTTPStatus(500))`,
		`var errEmpty = codes.Caller(1009, "")`,
		`var options []failure.Option`,
		`var errSpread = codes.Caller(1010, "options from elsewhere", options...)`,
		`var errOdd = codes.Caller(1012, "an option that is no option", failure.Odd(1))`,
		`var errInstance = codes.Caller(1011, "a function in a variable", func(int) failure.Option { return again }(1))`,
	), "chassis/failure/later.go": "package failure\n\nvar Later = own.Caller(599, \"later\")\n\nfunc Odd(int) Option { return nil }\n",
		"tool/tool.go": shop("tool") + "\nvar name = \"nameless\"\nvar nameless = failure.NewSet(name)\nvar errNameless = nameless.Caller(1001, \"x\")\n"})
	r := load(t, dir)
	const option = "this option cannot be read without running the program: write a call of"
	says(t, "problems", r.Problems,
		"chassis/failure/later.go:3: the chassis that this command was built with does not have the code: build the command of the same version",
		"shop/shop.go:19: the number of a failure code is not a literal",
		"shop/shop.go:20: "+option, "shop/shop.go:21: "+option, "shop/shop.go:22: "+option,
		"shop/shop.go:23: this declaration would stop the program when it starts: numbers below 1000 belong to the chassis",
		"shop/shop.go:24: this declaration would stop the program when it starts: ",
		"shop/shop.go:25: this declaration would stop the program when it starts: the message is empty",
		"shop/shop.go:27: "+option, "shop/shop.go:28: "+option, "shop/shop.go:29: "+option,
		"tool/tool.go:17: the name of a failure set is not a constant",
	)
	found := check(t, dir, roster.Checking{Write: true})
	if found.OK() || found.Written || len(found.Problems) != len(r.Problems) {
		t.Errorf("the check says %+v", found)
	}
	if _, err := os.Stat(filepath.Join(dir, roster.LockFile)); err == nil {
		t.Error("a lock was written though codes cannot be read")
	}
}

func TestANumberIsGivenOnceInAllPackages(t *testing.T) {
	dir := repository(t, map[string]string{
		"shop/shop.go":   strings.ReplaceAll(shop("shop", errSold), "var codes", "var Codes = codes\n\nvar codes"),
		"cart/cart.go":   "package cart\n\nimport \"github.com/seed-754044b3/roadworthy/shop\"\n\nvar errFull = shop.Codes.Caller(1001, \"full\")\nfunc Add() error { return errFull }\n",
		"bank/bank.go":   shop("bank", errSold),
		"other/other.go": strings.ReplaceAll(shop("shop"), "package shop", "package other"),
	})
	const (
		twice = "shop/shop.go:16: failure code shop 1001 is declared here as errSold and at cart/cart.go:5 as errFull: give this one a number that was never used"
		set   = "failure set shop is made here and at other/other.go:12"
		bare  = "shop 1001 has the number of bank 1001, which bank/bank.go:14 declares"
	)
	says(t, "conflicts", load(t, dir).Conflicts(false), set, "cart/cart.go:5: failure code "+bare, twice)
	says(t, "conflicts when each set has numbers of its own", load(t, dir).Conflicts(true), set, twice)
	says(t, "problems of the check", check(t, dir, roster.Checking{Write: true}).Problems, set, "cart/cart.go:5: failure code "+bare, twice)
}

func TestTheLockRemembersEveryNumber(t *testing.T) {
	dir := repository(t, map[string]string{"shop/shop.go": shop("shop", errSold, errBank)})
	codes := func(declarations ...string) {
		failcodetest.Write(t, dir, map[string]string{"shop/shop.go": shop("shop", declarations...)})
	}
	lines := func() []string {
		var of []string
		for line := range strings.Lines(treetest.Read(t, dir, roster.LockFile)) {
			if strings.HasPrefix(line, "shop ") {
				of = append(of, strings.TrimSpace(line))
			}
		}
		return of
	}
	found := check(t, dir, roster.Checking{})
	if found.OK() || !slices.Contains(found.Stale, roster.Problem{At: roster.LockFile, Text: `shop 1001 ("sold out") is new`}) {
		t.Errorf("without a lock: %+v", found)
	}
	if found := check(t, dir, roster.Checking{Write: true}); !found.OK() || !found.Written {
		t.Errorf("written: %+v", found)
	}
	if found := check(t, dir, roster.Checking{}); !found.OK() || len(found.Stale) > 0 {
		t.Errorf("after it was written: %+v", found)
	}

	before := treetest.Read(t, dir, roster.LockFile)
	failcodetest.Write(t, dir, map[string]string{"shop/other.go": "package shop\n\n" + head + errBank + "\n"})
	codes("// moved down", errSold)
	if found := check(t, dir, roster.Checking{}); !found.OK() || treetest.Read(t, dir, roster.LockFile) != before {
		t.Errorf("after codes moved: %+v", found)
	}

	if err := os.Remove(filepath.Join(dir, "shop/other.go")); err != nil {
		t.Fatal(err)
	}
	codes(strings.Replace(errSold, "sold out", "out of stock", 1))
	says(t, "one is gone, one says something else", check(t, dir, roster.Checking{}).Stale,
		`failure_codes.lock: shop 1001 was "sold out" and is now "out of stock": if that is another failure, it needs another number (1003 is free)`,
		`failure_codes.lock: shop 1002 ("the bank | does_not answer") is not declared any more, so its number is to be retired`)
	check(t, dir, roster.Checking{Write: true})
	if want := []string{`shop 1001 used "out of stock"`, `shop 1002 retired "the bank | does_not answer"`}; !slices.Equal(lines(), want) {
		t.Errorf("the lock has %q, want %q", lines(), want)
	}
	if found := check(t, dir, roster.Checking{}); !found.OK() {
		t.Errorf("with a retired number: %+v", found)
	}

	codes(errSold, strings.Replace(errBank, "the bank | does_not answer", "lost", 1))
	found = check(t, dir, roster.Checking{Write: true})
	says(t, "a retired number is used", found.Problems, `shop/shop.go:16: failure code shop 1002 ("lost") has a number that is retired: it was "the bank | does_not answer", and old logs, dashboards and alarms still mean that; 1003 is free`)
	if found.Written || !slices.Contains(lines(), `shop 1001 used "out of stock"`) {
		t.Error("the lock was written although a number is used again")
	}
}

func TestNoLineOfTheLockIsLostSinceARevision(t *testing.T) {
	dir := repository(t, map[string]string{"shop/shop.go": shop("shop", errSold, errBank)})
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-C", dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("add", "-A")
	git("commit", "-qm", "no lock")
	check(t, dir, roster.Checking{Write: true})
	if found := check(t, dir, roster.Checking{Since: "HEAD"}); !found.OK() {
		t.Errorf("since a revision without a lock: %+v", found)
	}
	lock := treetest.Read(t, dir, roster.LockFile)
	failcodetest.Write(t, dir, map[string]string{roster.LockFile: lock + "shop 1003 retired \"closed\"\nshop 1004 retired \"open\"\n"})
	git("add", "-A")
	git("commit", "-qm", "a lock")
	if found := check(t, dir, roster.Checking{Since: "HEAD"}); !found.OK() {
		t.Errorf("since a revision with the same lock: %+v", found)
	}
	failcodetest.Write(t, dir, map[string]string{
		roster.LockFile: lock + "shop 1004 used \"ajar\"\n",
		"shop/shop.go":  shop("shop", errSold, errBank, "var errAjar = codes.Caller(1004, \"ajar\")"),
	})
	says(t, "a line is gone, one means something else", check(t, dir, roster.Checking{Since: "HEAD"}).Problems,
		`failure_codes.lock: since HEAD, shop 1003 ("closed") was removed: put its line back, as retired if nothing declares it`,
		`failure_codes.lock: since HEAD, shop 1004 was retired as "open" and is used again as "ajar": give that another number (1005 is free)`)
	if _, err := load(t, dir).Check(t.Context(), roster.Checking{Since: "--all"}); err == nil || !strings.Contains(err.Error(), `git knows no revision "--all" here`) {
		t.Errorf("a revision that is not there: %v", err)
	}
	failcodetest.Write(t, dir, map[string]string{roster.LockFile: "what"})
	git("add", "-A")
	git("commit", "-qm", "a broken lock")
	failcodetest.Write(t, dir, map[string]string{roster.LockFile: lock})
	if _, err := load(t, dir).Check(t.Context(), roster.Checking{Since: "HEAD"}); err == nil || !strings.Contains(err.Error(), "failure_codes.lock of HEAD: line 1: want SET NUMBER") {
		t.Errorf("a broken lock in a revision: %v", err)
	}
}

func TestAWorkspaceIsReadWhole(t *testing.T) {
	dir := repository(t, map[string]string{
		"shop/shop.go":   shop("shop", errSold),
		"bank/go.mod":    "module example.com/bank\n\ngo 1.26.0\n\nrequire github.com/seed-754044b3/roadworthy v0.1.0\n",
		"bank/bank.go":   shop("bank", errSold),
		"go.work":        "go 1.26.0\n\nuse (\n\t.\n\t./bank\n)\n\nreplace github.com/seed-754044b3/roadworthy v0.1.0 => ./\n",
		"shop/x_test.go": "package shop\n\nimport \"github.com/seed-754044b3/roadworthy/chassis/failure\"\n\nvar forTests = failure.NewSet(\"shop\").Caller(1001, \"x\")\n",
	})
	t.Setenv("GOWORK", "")
	if found := check(t, dir, roster.Checking{Write: true}); !found.OK() {
		t.Errorf("%+v", found)
	}
	if lock := treetest.Read(t, dir, "bank/failure_codes.lock"); !strings.HasSuffix(lock, "\nbank 1001 used \"sold out\"\n") {
		t.Errorf("the lock of the module bank is\n%s", lock)
	}
	r := load(t, filepath.Join(dir, "bank"))
	if list, err := r.List("shop"); err != nil || list[0].Answered[0] != "../shop/shop.go:15" {
		t.Errorf("seen from the module bank: %+v, %v", list, err)
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	dir := repository(t, map[string]string{"shop/shop.go": shop("shop", "func x() int { return \"a\" }")})
	if _, err := roster.Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "the packages do not build:\n") || !strings.Contains(err.Error(), "shop.go:14") {
		t.Errorf("a package that does not build: %v", err)
	}
	if _, err := roster.Load(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "is in no module with packages") {
		t.Errorf("a folder outside any module: %v", err)
	}
	dir = repository(t, map[string]string{"failure_codes.lock": "shop x\nshop 1001 used\n"})
	says(t, "a lock that is wrong", check(t, dir, roster.Checking{Write: true}).Problems, "failure_codes.lock: line 1: want", "failure_codes.lock: line 2: want")
	if _, err := load(t, dir).List(); err == nil || !strings.Contains(err.Error(), "failure_codes.lock of github.com/seed-754044b3/roadworthy: line 1: want") {
		t.Errorf("a list with a lock that is wrong: %v", err)
	}
	dir = repository(t, map[string]string{"failure_codes.lock/x": ""})
	says(t, "a lock that is a folder", check(t, dir, roster.Checking{Write: true}).Problems, "is a directory")
}
