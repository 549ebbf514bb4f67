package roadworthy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode/failcodetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
)

const shopSource = `package shop

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("shop")

var errSold = codes.Caller(1001, "sold out")

func Buy() error { return errSold }
`

// inShop goes into a module with a service that has a failure code, and returns its folder.
func inShop(t *testing.T) string {
	t.Helper()
	t.Setenv("GOWORK", "off")
	t.Setenv("GOFLAGS", "")
	dir := failcodetest.Repository(t, map[string]string{
		"shop/shop.go": shopSource,
		"codes.md":     "<!-- failures: shop -->\n<!-- end of failures -->\n",
	})
	t.Chdir(dir)
	return dir
}

// answers holds a call of the command to its exit code and to texts in its output, of which the empty one stands for none.
func answers(t *testing.T, command string, code int, stdout, stderr string) {
	t.Helper()
	got, out, errs := ask(t, strings.Fields(command)...)
	is := func(text, want string) bool {
		return want == "" && text == "" || want != "" && strings.Contains(text, want)
	}
	if got != code || !is(out, stdout) || !is(errs, stderr) {
		t.Errorf("%s: exit code %d\nstdout: %s\nstderr: %s\nwant %d, %q, %q", command, got, out, errs, code, stdout, stderr)
	}
}

func TestFailuresAreCheckedAndTheirLockIsWritten(t *testing.T) {
	dir := inShop(t)
	answers(t, "failures check", 1, "", "failure_codes.lock: shop 1001 (\"sold out\") is new\nroadworthy failures check -w brings the locks up to date\n")
	answers(t, "failures check -w", 0, "", "failure_codes.lock: shop 1001 (\"sold out\") is new\n")
	answers(t, "failures check", 0, "", "")
	failcodetest.Write(t, dir, map[string]string{"cart/cart.go": strings.ReplaceAll(shopSource, "shop", "cart")})
	const bare = "shop/shop.go:7: failure code shop 1001 has the number of cart 1001"
	answers(t, "failures check -w", 1, "", bare)
	if strings.Contains(treetest.Read(t, dir, "failure_codes.lock"), "cart") {
		t.Error("the lock was written although something is wrong")
	}
	answers(t, "failures check -w -per-set", 0, "", "cart 1001 (\"sold out\") is new")
	answers(t, "failures check -per-set -since nowhere", 2, "", `roadworthy failures check: git knows no revision "nowhere" here`)
}

func TestFailuresAreListed(t *testing.T) {
	dir := inShop(t)
	answers(t, "failures list shop", 0, "shop 1001  caller  400   INVALID_ARGUMENT  no     silent  sold out  shop/shop.go:9\n", "")
	_, out, _ := ask(t, "failures", "list", "-json", "shop")
	var list []struct {
		Reason   string
		Answered []string
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].Reason != "SHOP_1001" || list[0].Answered[0] != "shop/shop.go:9" {
		t.Errorf("%v, %s", err, out)
	}
	answers(t, "failures list bank", 2, "", "there is no failure set bank; there is: chassis, shop")
	failcodetest.Write(t, dir, map[string]string{"shop/more.go": "package shop\n\nconst n = 1002\n\nvar errMore = codes.Caller(n, \"more\")\n"})
	answers(t, "failures list shop", 0, "shop 1001", "shop/more.go:5: the number of a failure code is not a literal")
}

func TestTablesOfFailuresAreCheckedAndWritten(t *testing.T) {
	dir := inShop(t)
	answers(t, "failures doc codes.md", 1, "", "codes.md is out of date:")
	answers(t, "failures doc -w codes.md", 0, "", "")
	answers(t, "failures doc codes.md", 0, "", "")
	if page := treetest.Read(t, dir, "codes.md"); !strings.Contains(page, "\n| 1001 | sold out | caller | 400 |") {
		t.Errorf("the page is\n%s", page)
	}
	failcodetest.Write(t, dir, map[string]string{"none.md": "no table\n"})
	answers(t, "failures doc none.md", 2, "", "roadworthy failures doc: none.md: there is no table of failures")
	answers(t, "failures doc gone.md", 2, "", "roadworthy failures doc: open gone.md")
}

func TestFailuresAskedWronglyAreAnsweredSo(t *testing.T) {
	inShop(t)
	for _, command := range []string{"check", "list", "doc"} {
		answers(t, "failures "+command+" -h", 0, "usage: roadworthy failures "+command, "")
		answers(t, "failures "+command+" -what", 2, "", "-what")
	}
	answers(t, "failures check shop", 2, "", `want no arguments, got ["shop"]`)
	answers(t, "failures doc", 2, "", "want the names of files, got none")
	if err := os.WriteFile("shop/broken.go", []byte("package shop\n\nfunc"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "list", "doc codes.md"} {
		answers(t, "failures "+command, 2, "", "the packages do not build:")
	}
}
