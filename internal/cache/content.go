package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/taskcluster/generic-worker/internal/cache/shelf"
	"github.com/taskcluster/generic-worker/internal/cache/tree"
)

// Want is what content has to be.
type Want struct {
	SHA256 string // of what was downloaded, in lower-case hexadecimal; empty if any will do
}

// Hit tells how content was come by.
type Hit string

// Ways to come by content.
const (
	Filled Hit = "filled" // fill was called
	Kept   Hit = "kept"   // it was there
	Copied Hit = "copied" // it was there, and another run has it: this is a copy
)

// errStale tells that what was kept had to be discarded.
var errStale = errors.New("what was kept is not what it was")

// Content returns what is kept under key, or has fill make it: one fill at a
// time per key, while others wait, each under its own ctx, and try themselves if
// it fails. Kept content whose hash is not the wanted one is evicted and filled
// again. If fill returns an error, that is Content's; a fill with another hash
// than the wanted one is a *HashError. fill may ask the store for files, but not
// for trees, nor for what it is filling. The caller closes the content.
func (s *Store) Content(ctx context.Context, key Key, want Want, fill Fill) (*Content, Hit, error) {
	s.Obey(ctx)
	hash := key.hash()
	for {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		e, wait, hit := s.find(hash, want)
		if wait != nil {
			select {
			case <-wait:
			case <-ctx.Done():
			}
			continue
		}
		c := &Content{store: s, entry: e}
		var err error
		switch hit {
		case Filled:
			c.entry, err = s.fillAlone(ctx, key, want, fill)
		case Kept:
			err = c.verify(ctx)
		case Copied:
			err = c.copyAside(ctx)
		}
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		return c, hit, nil
	}
}

// find decides how content is come by: it reserves what is kept, or the
// filling of it for the caller, or returns what to wait for.
func (s *Store) find(hash string, want Want) (e *entry, wait <-chan struct{}, hit Hit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var shared *entry
	for _, e := range s.byUse(func(e *entry) bool { return e.Key == hash && !e.gone }) {
		switch {
		case want.SHA256 != "" && e.SHA256 != want.SHA256:
			s.drop(e, "its sha256 is not the one that a task wants")
		case e.Kind == File:
			e.users++
			return e, nil, Kept
		case !e.busy:
			e.busy = true
			return e, nil, Kept
		default:
			shared = e
		}
	}
	if over, filling := s.filling[hash]; filling {
		return nil, over, ""
	}
	if shared != nil {
		return shared, nil, Copied
	}
	s.filling[hash] = make(chan struct{})
	return nil, nil, Filled
}

// fillAlone fills, and lets those go on who wait for it.
func (s *Store) fillAlone(ctx context.Context, key Key, want Want, fill Fill) (*entry, error) {
	var e *entry
	defer func() { // also after a panic
		s.mu.Lock()
		defer s.mu.Unlock()
		if e != nil {
			e.busy, e.users = key.Kind == Tree, 0
			if key.Kind == File {
				e.users = 1
			}
			s.entries[e.id] = e
		}
		close(s.filling[key.hash()])
		delete(s.filling, key.hash())
	}()
	var err error
	e, err = s.fill(ctx, key, want, fill)
	return e, err
}

// Kept tells whether something is kept under key at the moment.
func (s *Store) Kept(key Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := key.hash()
	return len(s.byUse(func(e *entry) bool { return e.Key == hash && !e.gone })) > 0
}

// Content is a file or a tree in use by one run. Its methods are not called
// concurrently.
type Content struct {
	store  *Store
	entry  *entry
	aside  string // where a copy is staged, below the shelf
	out    bool   // whether the tree is in a task
	closed bool
}

// verify looks whether what is kept is still what it was. What is not is
// discarded, and the error is errStale.
func (c *Content) verify(ctx context.Context) error {
	var err error
	if c.entry.Kind == File {
		err = c.verifyFile(ctx)
	} else {
		err = c.verifyTree(ctx)
	}
	if err == nil {
		c.entry.note("used", "")
		c.store.mu.Lock()
		c.entry.used()
		c.store.mu.Unlock()
		c.saveUse()
		return nil
	}
	if ctx.Err() != nil {
		c.Close()
		return context.Cause(ctx)
	}
	changed, byTask := errors.AsType[*tree.ChangedError](err)
	reason := err.Error()
	if byTask {
		reason = "a task changed it: " + changed.Error()
	}
	c.store.outdated(c.entry, reason, byTask)
	c.Close()
	return errStale
}

// saveUse writes when the entry was last used. What cannot be written is
// forgotten with the process, and changes only what goes first.
func (c *Content) saveUse() {
	c.store.mu.Lock()
	r := c.entry.Record
	c.store.mu.Unlock()
	if c.entry.Kind == File {
		c.entry.saving.Lock()
		defer c.entry.saving.Unlock()
	}
	if err := c.entry.shelf.WriteRecord(c.entry.dir(), r); err != nil {
		c.store.log.Warn("cannot write when a cache was used", "path", c.entry.path(), "error", err)
	}
}

// outdated discards an entry that is not what it was.
func (s *Store) outdated(e *entry, reason string, byTask bool) {
	s.log.Warn("discarding what was kept", "name", e.Name, "path", e.path(), "reason", reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(e, reason)
	if byTask {
		s.changed.add(e.Key)
	}
}

// verifyFile compares the file with what it was when its hash was made, and
// makes the hash again if that is in doubt.
func (c *Content) verifyFile(ctx context.Context) error {
	file, err := c.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	stat, err := tree.StatFile(file)
	if err != nil {
		return err
	}
	c.store.mu.Lock()
	was := c.entry.File
	c.store.mu.Unlock()
	if was != nil && was.Same(stat) {
		return nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, reader{ctx, file}); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != c.entry.SHA256 {
		return fmt.Errorf("its sha256 became %s", got)
	}
	c.store.mu.Lock()
	c.entry.File = &stat
	c.store.mu.Unlock()
	return nil
}

// reader ends with its context.
type reader struct {
	ctx  context.Context // what reads from it has none
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}

// verifyTree removes what tasks added to the tree, and finds what they changed.
func (c *Content) verifyTree(ctx context.Context) error {
	e := c.entry
	manifest, err := e.shelf.ReadManifest(e.dir())
	if err != nil {
		return err
	}
	root, err := e.shelf.Root.OpenRoot(e.content())
	if err != nil {
		return err
	}
	defer root.Close()
	if err := manifest.Check(ctx, root, e.shelf.ToTrash); err != nil {
		return err
	}
	e.newest = manifest.Newest
	return nil
}

// copyAside makes a copy of a tree that another run has, as it was when it was
// filled. If that run has changed it, the error is errStale.
func (c *Content) copyAside(ctx context.Context) error {
	e := c.entry
	id, err := e.shelf.Stage(e.Key)
	if err != nil {
		return fmt.Errorf("cannot make a directory for a copy in downloadsDir: %w", err)
	}
	c.aside = shelf.Staged(id)
	err = c.copyTree(ctx)
	if err == nil {
		e.note("used", "another task has it: this is a copy")
		return nil
	}
	e.shelf.Throw(c.aside)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.store.isGone(e) {
		return errStale // discarded meanwhile, perhaps while it was copied
	}
	if changed, ok := errors.AsType[*tree.ChangedError](err); ok {
		c.store.outdated(e, "a task changed it: "+changed.Error(), true)
		return errStale
	}
	if _, ok := errors.AsType[*tree.MountedError](err); ok || errors.Is(err, fs.ErrNotExist) {
		// It is the other task that did this, so this one gets a tree of its own.
		c.store.outdated(e, "the task that has it keeps others from copying it: "+err.Error(), false)
		return errStale
	}
	return fmt.Errorf("cannot copy %s, which another task has: %w", e.Name, err)
}

func (c *Content) copyTree(ctx context.Context) error {
	e := c.entry
	e.moving.RLock()
	defer e.moving.RUnlock()
	manifest, err := e.shelf.ReadManifest(e.dir())
	if err != nil {
		return err
	}
	from := e.live
	if from == nil {
		if from, err = e.shelf.Root.OpenRoot(e.content()); err != nil {
			return err
		}
		defer from.Close()
	}
	content := filepath.Join(c.aside, shelf.ContentName)
	if err := e.shelf.Root.Mkdir(content, 0o755); err != nil {
		return err
	}
	to, err := e.shelf.Root.OpenRoot(content)
	if err != nil {
		return err
	}
	defer to.Close()
	return tree.Copy(ctx, from, to, manifest)
}

// settled waits until a change of the tree could not go unnoticed.
func (e *entry) settled(ctx context.Context) error {
	timer := time.NewTimer(tree.SettlesIn(e.newest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
