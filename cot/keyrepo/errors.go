package keyrepo

import (
	"errors"

	"github.com/taskcluster/generic-worker/cot/keyrepo/gitobject"
)

// Why a repository, a version of it, or a file is refused.
var (
	// ErrNoRepository is a directory that is not a git repository, or is one in
	// a form that is not read here.
	ErrNoRepository = errors.New("not a git repository that can be read")
	// ErrNoTag is a commit that no annotated tag names.
	ErrNoTag = errors.New("no annotated tag names it")
	// ErrUnsigned is a tag without an OpenPGP signature.
	ErrUnsigned = errors.New("the tag is not signed")
	// ErrDamaged is an object of git that is missing, broken, or not the one
	// that its hash names.
	ErrDamaged = gitobject.ErrDamaged
	// ErrTooLarge is a repository beyond the limits.
	ErrTooLarge = errors.New("too large")
	// ErrEmpty is an implementation without keys that count.
	ErrEmpty = errors.New("there is no valid key")
	// ErrUnknown is an implementation that the repository has no keys for.
	ErrUnknown = errors.New("the key repository has no keys of this worker implementation")
	// ErrAmbiguous is a key that stands for two worker implementations, or a key
	// id that two keys have.
	ErrAmbiguous = errors.New("ambiguous key")
	// ErrSecret is a private key where others can read it.
	ErrSecret = errors.New("private key in a key repository; remove it, and take the key out of use")
	// ErrExposed is a file that others can change, or that is no plain file.
	ErrExposed = errors.New("file cannot be relied on")

	// ErrNone is a store in which there is no version yet.
	ErrNone = errors.New("there is no verified version yet")
	// ErrRollback is a version that is older than the one in use.
	ErrRollback = errors.New("it is older than the version in use")
	// ErrBusy is a store that another process is changing.
	ErrBusy = errors.New("another process is changing it")
)
