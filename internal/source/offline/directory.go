package offline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/taskcluster/generic-worker/cot/chain"
	"github.com/taskcluster/generic-worker/cot/template"
)

// Directory is a directory with what is known about repositories. It implements
// template.Forge. Below it is for every repository
//
//	<host>/<path>/@tree/<revision>/       the files of a commit, a checkout or an export
//	<host>/<path>/@facts/<about>.json     a document of the server
//
// where about is pushes-<revision> (of a Mercurial server's json-pushes), repository,
// commit-<revision>, release-<tag>, pull-request-<number> (of GitHub's API), or
// landed-<revision> (true or false). In names, characters other than letters, digits and
// ._+- are written as %XX. What is not there does not exist, but for landed.
//
// Symbolic links must not lead out of the directory.
type Directory struct {
	Path string
	// Hosts are the servers in URLs that Landed is asked with.
	Hosts map[string]template.Kind
	// MaxBytes bounds one file; 0 means 8 MiB.
	MaxBytes int64
}

var _ template.Forge = Directory{}

// File returns the content of a file.
func (d Directory) File(ctx context.Context, at template.Commit, name string) ([]byte, error) {
	segments := strings.Split(name, "/")
	for i, segment := range segments {
		segments[i] = fileName(segment)
	}
	return d.read(ctx, at.Repository, append([]string{"@tree", fileName(at.Revision)}, segments...)...)
}

// Pushes returns the pushlog's document for the push with a commit.
func (d Directory) Pushes(ctx context.Context, at template.Commit) ([]byte, error) {
	return d.read(ctx, at.Repository, "@facts", "pushes-"+fileName(at.Revision)+".json")
}

// Fact returns a document of GitHub's REST API.
func (d Directory) Fact(ctx context.Context, about template.Fact) ([]byte, error) {
	name := string(about.Kind)
	if about.Name != "" {
		name += "-" + fileName(about.Name)
	}
	return d.read(ctx, about.Repository, "@facts", name+".json")
}

// Landed tells whether a revision is on a branch of the repository itself. It
// is what chain.Request wants as its Landed.
func (d Directory) Landed(ctx context.Context, repository, revision string) (bool, error) {
	r, err := template.ParseRepository(repository, d.Hosts)
	if err != nil {
		return false, err
	}
	text, err := d.read(ctx, r, "@facts", "landed-"+fileName(revision)+".json")
	if err != nil {
		return false, fmt.Errorf("cannot tell whether %s is on a branch of %s: %s", revision, repository, err)
	}
	var landed bool
	if err := json.Unmarshal(text, &landed); err != nil {
		return false, fmt.Errorf("cannot tell whether %s is on a branch of %s: %w", revision, repository, err)
	}
	return landed, nil
}

// read returns a file below a repository's directory.
func (d Directory) read(ctx context.Context, r template.Repository, below ...string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory of repositories: %w", err)
	}
	defer root.Close()
	segments := []string{fileName(r.Host)}
	for _, segment := range strings.Split(r.Path, "/") {
		segments = append(segments, fileName(segment))
	}
	name := path.Join(append(segments, below...)...)
	file, err := openFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(path.Join(d.Path, name))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open what is known about a repository: %w", err)
	}
	defer file.Close()
	return readAll(file, name, cmp.Or(d.MaxBytes, 8<<20))
}

// openFile opens what is a file: to open a pipe would wait for somebody to write
// to it, and no context ends that.
func openFile(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is no regular file")}
	}
	if err != nil {
		return nil, err
	}
	return root.Open(name)
}

// missing is the error for what certainly is not there.
func missing(what string) error { return fmt.Errorf("%s %w", what, chain.ErrNotFound) }

// readAll reads a file of at most so many bytes.
func readAll(from io.Reader, name string, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	case int64(len(text)) > most:
		return nil, fmt.Errorf("cannot read %s: it has more than %d bytes", name, most)
	}
	return text, nil
}

// fileName writes any text as one name that every file system takes.
func fileName(text string) string {
	if strings.Trim(text, ".") == "" {
		return strings.Repeat("%2E", len(text))
	}
	var name strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("._+-", c) >= 0:
			name.WriteByte(c)
		default:
			fmt.Fprintf(&name, "%%%02X", c)
		}
	}
	return name.String()
}
