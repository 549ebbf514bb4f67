package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheCommandAnswersByItsExitCode(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "roadworthy")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "service.yaml"), []byte("http:\n  acl:\n    routes:\n      /admin: allow 10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		client string
		code   int
		want   string
	}{
		{"10.1.2.3", 0, "10.1.2.3 may call /admin: 10.0.0.0/8 is allowed (routes /admin, allow item 1)\nthat is set by service.yaml:4:7\n"},
		{"192.0.2.1", 1, "192.0.2.1 may not call /admin: route /admin has an allow list, and no entry of it is for this client\nthat is set by service.yaml:4:7\n"},
		{"it", 2, "roadworthy acl explain: want an address without a port, or unix, got \"it\"\n"},
	} {
		cmd := exec.Command(program, "acl", "explain", "-config", "service.yaml", "-listener", "http", c.client, "/admin")
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || string(out) != c.want {
			t.Errorf("%s: exit code %d, %s", c.client, cmd.ProcessState.ExitCode(), out)
		}
	}
}
