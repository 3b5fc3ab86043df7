package keyrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/taskcluster/generic-worker/cot/keyrepo/gitobject"
	"github.com/taskcluster/generic-worker/gpg"
)

// Source says which version of which repository to read.
type Source struct {
	Dir     string       // a clone, with or without a work tree
	Tag     string       // empty: the newest annotated tag of the commit that is checked out
	Layout  Layout       // nil: those directories of Usual that are there
	Signers *gpg.Keyring // who may sign tags
	At      time.Time    // when the signatures and keys have to be valid; zero: now
}

// Read returns the keys of one version of a repository, of at most 5000 files
// and 32 MiB, after it has verified the signature of the tag. For each
// implementation at least one key of a worker counts. Nothing is written.
//
// The error is one of those of this package, of gpg.Keyring.VerifyDetached or of
// gpg.Read, in a sentence.
func Read(ctx context.Context, source Source) (*Set, error) {
	set, err := source.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot verify key repository %s: %w", source.Dir, err)
	}
	return set, nil
}

func (s Source) read(ctx context.Context) (set *Set, err error) {
	defer contained(&err)
	if s.At.IsZero() {
		s.At = time.Now()
	}
	explicit := s.Layout != nil
	if !explicit {
		s.Layout = Usual()
	}
	if err := s.Layout.check(); err != nil {
		return nil, err
	}
	r, err := open(s.Dir)
	if err != nil {
		return nil, err
	}
	defer r.store.Close() // closes files that were only read
	t, err := r.tag(ctx, s.Tag)
	if err != nil {
		return nil, err
	}
	signer, err := verify(t, s.Signers, s.At)
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", t.Name, err)
	}
	files, err := r.files(ctx, t.Commit, s.Layout)
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", t.Name, err)
	}
	groups, err := arrange(files, s.Layout, explicit)
	if err != nil {
		return nil, fmt.Errorf("tag %s: %w", t.Name, err)
	}
	set = &Set{Release: Release{Tag: t.Name, Commit: t.Commit.String(), Tagged: t.Tagged, Signer: signer.Fingerprint()}, groups: groups}
	return set, set.usable(s.At)
}

// clockSkew is how much later than now a tag may claim to be.
const clockSkew = 5 * time.Minute

func verify(t gitobject.Tag, signers *gpg.Keyring, at time.Time) (*gpg.Key, error) {
	switch {
	case t.Signature == nil:
		return nil, fmt.Errorf("%w; sign it: git tag -s", ErrUnsigned)
	case signers == nil || len(signers.Keys()) == 0:
		return nil, fmt.Errorf("%w: nobody may sign tags; name those who may", gpg.ErrUnknownSigner)
	case t.Tagged.After(at.Add(clockSkew)):
		return nil, fmt.Errorf("%w: it claims to be of %s, which is later", gpg.ErrBadSignature, t.Tagged.Format(time.RFC3339))
	}
	return signers.VerifyDetached(t.Signed, t.Signature, at)
}

// contained turns a panic over a broken repository into ErrDamaged: what reads
// git's files was made for those that git wrote.
func contained(err *error) {
	if recover() != nil {
		*err = ErrDamaged
	}
}

// repository is a git repository, of which nothing is believed.
type repository struct {
	store *filesystem.Storage
	left  int64 // bytes of files that may still be read
}

func open(dir string) (*repository, error) {
	git := filepath.Join(dir, ".git")
	info, err := os.Stat(git)
	switch {
	case errors.Is(err, os.ErrNotExist):
		git = dir
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s leads to another repository; name the folder of that one", ErrNoRepository, git)
	}
	for _, name := range []string{"HEAD", "objects"} {
		if _, err := os.Stat(filepath.Join(git, name)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoRepository, err)
		}
	}
	// Objects above this size are read only as far as they are asked for, however
	// much there is behind a header that promises little.
	options := filesystem.Options{LargeObjectThreshold: 1}
	store := filesystem.NewStorageWithOptions(osfs.New(git), cache.NewObjectLRU(cacheSize), options)
	return &repository{store: store, left: largestOfAll}, nil
}

const cacheSize = 16 << 20

// object returns the content of an object whose hash is right.
func (r *repository) object(ctx context.Context, kind plumbing.ObjectType, hash plumbing.Hash, limit int64) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	o, err := r.store.EncodedObject(kind, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	if o.Size() > limit {
		return nil, fmt.Errorf("%w: %s %s has %d bytes, and at most %d are read", ErrTooLarge, kind, hash, o.Size(), limit)
	}
	in, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", ErrDamaged, kind, hash, err)
	}
	// The hash is one that notices the known ways to make collisions.
	h := plumbing.NewHasher(o.Type(), int64(len(data)))
	h.Write(data)
	if h.Sum() != hash {
		return nil, fmt.Errorf("%w: %s %s is not what its hash says", ErrDamaged, kind, hash)
	}
	return data, nil
}

// tag returns the tag of that name or, without a name, the newest annotated tag
// of the commit that is checked out, which is what git describe names.
func (r *repository) tag(ctx context.Context, name string) (gitobject.Tag, error) {
	if name != "" {
		ref, err := r.store.Reference(plumbing.NewTagReferenceName(name))
		if err != nil {
			return gitobject.Tag{}, fmt.Errorf("tag %q: %w", name, errors.Join(ErrNoTag, err))
		}
		return r.annotated(ctx, ref)
	}
	head, err := storer.ResolveReference(r.store, plumbing.HEAD)
	if err != nil {
		return gitobject.Tag{}, fmt.Errorf("%w: nothing is checked out: %w", ErrNoRepository, err)
	}
	refs, err := r.store.IterReferences()
	if err != nil {
		return gitobject.Tag{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var found []gitobject.Tag
	count := 0
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !ref.Name().IsTag() {
			return nil
		}
		if count++; count > mostTags {
			return fmt.Errorf("%w: more than %d tags", ErrTooLarge, mostTags)
		}
		t, err := r.annotated(ctx, ref)
		if err == nil && t.Commit == head.Hash() {
			found = append(found, t)
		}
		return context.Cause(ctx)
	})
	if err != nil {
		return gitobject.Tag{}, err
	}
	if len(found) == 0 {
		return gitobject.Tag{}, fmt.Errorf("commit %s is checked out, and %w; check out the newest: git checkout $(git describe --abbrev=0)", head.Hash(), ErrNoTag)
	}
	return slices.MaxFunc(found, func(a, b gitobject.Tag) int { return a.Tagged.Compare(b.Tagged) }), nil
}

// annotated reads the tag that a reference names. The names have to agree:
// otherwise an old tag could pass for a new one.
func (r *repository) annotated(ctx context.Context, ref *plumbing.Reference) (gitobject.Tag, error) {
	data, err := r.object(ctx, plumbing.TagObject, ref.Hash(), largestObject)
	if err != nil {
		return gitobject.Tag{}, fmt.Errorf("tag %q: %w", ref.Name().Short(), errors.Join(ErrNoTag, err))
	}
	t, err := gitobject.ParseTag(data)
	if err == nil && t.Name != ref.Name().Short() {
		err = fmt.Errorf("%w: it is the tag %q under another name", ErrDamaged, t.Name)
	}
	if err != nil {
		return gitobject.Tag{}, fmt.Errorf("tag %q: %w", ref.Name().Short(), err)
	}
	return t, nil
}

// files returns the files of the layout's directories in a commit.
func (r *repository) files(ctx context.Context, commit plumbing.Hash, layout Layout) ([]file, error) {
	data, err := r.object(ctx, plumbing.CommitObject, commit, largestObject)
	if err != nil {
		return nil, err
	}
	hash, err := gitobject.TreeOf(data)
	if err != nil {
		return nil, err
	}
	top, err := r.nodes(ctx, hash)
	if err != nil {
		return nil, err
	}
	w := walk{from: r}
	for _, n := range top {
		i := slices.IndexFunc(layout, func(d Directory) bool { return d.Implementation == n.Name })
		if i < 0 {
			continue
		}
		if n.Mode != gitobject.Directory {
			return nil, fmt.Errorf("%s: %w: it is no directory", n.Name, ErrExposed)
		}
		w.directory = layout[i]
		if err := w.descend(ctx, n.Name, n.Hash, 1); err != nil {
			return nil, err
		}
	}
	return w.files, nil
}

func (r *repository) nodes(ctx context.Context, hash plumbing.Hash) ([]gitobject.Node, error) {
	data, err := r.object(ctx, plumbing.TreeObject, hash, largestObject)
	if err != nil {
		return nil, err
	}
	return gitobject.ParseTree(data)
}

// walk collects the files of one directory of the layout after the other.
type walk struct {
	from      *repository
	files     []file
	directory Directory
	seen      int
}

func (w *walk) descend(ctx context.Context, dir string, hash plumbing.Hash, depth int) error {
	if depth > mostDepth {
		return fmt.Errorf("%s: %w: more than %d directories in one another", dir, ErrTooLarge, mostDepth)
	}
	nodes, err := w.from.nodes(ctx, hash)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	for _, n := range nodes {
		name := path.Join(dir, n.Name)
		if w.seen++; w.seen > mostFiles {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, mostFiles)
		}
		switch n.Mode {
		case gitobject.Directory:
			if err := w.descend(ctx, name, n.Hash, depth+1); err != nil {
				return err
			}
		case gitobject.File, gitobject.Executable:
			if err := w.take(ctx, name, n.Hash); err != nil {
				return err
			}
		default: // a symbolic link, a submodule
			if !w.directory.ignores(name) {
				return fmt.Errorf("%s: %w: it is neither a file nor a directory (mode %s)", name, ErrExposed, n.Mode)
			}
		}
	}
	return nil
}

func (w *walk) take(ctx context.Context, name string, hash plumbing.Hash) error {
	if !w.directory.wants(name) {
		return nil
	}
	data, err := w.from.object(ctx, plumbing.BlobObject, hash, min(largestFile, w.from.left))
	if err != nil {
		return fmt.Errorf("%s: %w", strings.ToValidUTF8(name, "?"), err)
	}
	w.from.left -= int64(len(data))
	w.files = append(w.files, file{path: name, data: data})
	return nil
}
