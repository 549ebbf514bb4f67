package peerbench

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the programs of all peers into bin, out of the repository at root; progress is told what is
// being built. The modules outside the workspace are fetched where they have not been before, some hundred
// of them: the first time takes minutes.
func Build(ctx context.Context, root, bin string, progress io.Writer) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	// A name with a slash at its end has go build put programs into a directory.
	bin += string(filepath.Separator)
	for _, b := range []struct{ dir, workspace string }{
		{"tools/cmd/peerd", ""}, {"tools/cmd/naived", ""},
		{"tools/peerbench/core", "off"}, {"tools/peerbench/kratos", "off"}, {"tools/peerbench/gozero", "off"}, {"tools/peerbench/dskit", "off"},
	} {
		fmt.Fprintln(progress, "build", b.dir)
		cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, ".")
		cmd.Dir = filepath.Join(root, filepath.FromSlash(b.dir))
		cmd.Env = append(os.Environ(), "GOWORK="+b.workspace)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", b.dir, err, out)
		}
	}
	return nil
}
