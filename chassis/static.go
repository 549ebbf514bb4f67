package chassis

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Static serves the files of fsys below the route it is mounted on, whose pattern ends in
// "{path...}": "GET /assets/{path...}". Every file has an ETag made from its content, so that
// browsers revalidate with 304, and can be asked for in ranges; directories, symbolic links and
// files whose name or directory begins with a dot are not there. fsys is read once, when Static
// is called, and kept in memory: it is meant for assets embedded in the binary.
func Static(fsys fs.FS) (Handler, error) {
	files := map[string]asset{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case hidden(name) && d.IsDir():
			return fs.SkipDir
		case hidden(name) || !d.Type().IsRegular():
			return nil
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		files[name] = asset{content, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("path")
		file, ok := files[name]
		if !ok {
			return failure.UnknownRoute.With("path", failure.Safe(r.URL.Path))
		}
		tag := file.tag
		if ex := exchangeOf(w, r); ex != nil && ex.endpoint.cfg.Compress {
			// One tag stands for the bytes and their compressed form, which only a weak
			// one may: RFC 9110, section 8.8.1.
			tag = "W/" + tag
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "public, max-age=0, must-revalidate")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.content))
		return nil
	}, nil
}

type asset struct {
	content []byte
	tag     string
}

func hidden(name string) bool {
	return name != "." && strings.HasPrefix(path.Base(name), ".")
}
