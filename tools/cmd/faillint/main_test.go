package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/failcode/failcodetest"
)

const shop = `package shop

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("shop")

var errSold = codes.Caller(1001, "sold out")
`

const (
	one  = "\nfunc Buy() error { return errSold }\n"
	both = one + "\nfunc Order() error { return errSold }\n"
)

func TestTheCommandChecksAloneAndAsTheToolOfGoVet(t *testing.T) {
	program := filepath.Join(t.TempDir(), "faillint")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	right := failcodetest.Repository(t, map[string]string{"shop/shop.go": shop + one})
	wrong := failcodetest.Repository(t, map[string]string{"shop/shop.go": shop + both})
	// What go vet hands from package to package reaches those that are imported by way of another one.
	across := failcodetest.Repository(t, map[string]string{
		"shop/shop.go": shop + one,
		"till/till.go": "package till\n\nimport \"github.com/seed-754044b3/roadworthy/shop\"\n\nfunc Sell() string { return shop.Buy().Error() }\n",
		"cart/cart.go": "package cart\n\nimport (\n\t\"github.com/seed-754044b3/roadworthy/chassis/failure\"\n\t\"github.com/seed-754044b3/roadworthy/till\"\n)\n\n" +
			"var codes = failure.NewSet(\"shop\")\n\nvar _ = till.Sell\n",
	})
	const finding = "shop/shop.go:11:29: failure code errSold (shop 1001) is answered here and at shop.go:9"
	for name, c := range map[string]struct {
		dir  string
		args []string
		code int
		want string
	}{
		"alone, nothing to say":        {right, []string{program, "./..."}, 0, ""},
		"alone, something wrong":       {wrong, []string{program, "./..."}, 1, finding},
		"by go vet, nothing to say":    {right, []string{"go", "vet", "-vettool=" + program, "./..."}, 0, ""},
		"by go vet, something wrong":   {wrong, []string{"go", "vet", "-vettool=" + program, "./..."}, 1, finding},
		"a set that is made elsewhere": {across, []string{program, "./..."}, 1, "cart/cart.go:8:5: failure set shop is made here and at github.com/seed-754044b3/roadworthy/shop/shop.go:5"},
		"a flag of go vet":             {wrong, []string{program, "-json", "./..."}, 0, `"posn"`},
		"no packages":                  {right, []string{program}, 2, "usage: faillint"},
		"asked for help":               {right, []string{program, "--help"}, 2, "usage: faillint"},
		"packages that are not there":  {right, []string{program, "./none"}, 1, "none"},
		"where the go command is gone": {right, []string{"env", "PATH=/none", program, "./..."}, 2, "faillint: "},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(c.args[0], c.args[1:]...)
			cmd.Dir = c.dir
			cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOFLAGS=")
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) || c.want == "" && len(out) > 0 {
				t.Errorf("exit code %d, want %d with %q:\n%s", code, c.code, c.want, out)
			}
		})
	}
}
