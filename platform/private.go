package platform

import (
	"fmt"
	"io"
	"os"
)

// mostPrivate is more than any file with keys has.
const mostPrivate = 1 << 20

// ReadPrivate reads a file, such as one with keys, that is for the worker alone:
// a regular file of at most 1 MiB that belongs to the worker's user or to the
// administrator, and that nobody else can read or change. Windows does not tell
// the latter two. The error names the file and says what to change.
func ReadPrivate(path string) ([]byte, error) {
	// What is not a file, such as a pipe, could keep the worker waiting.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file; name the file with the private key", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if exposed(info) {
		return nil, fmt.Errorf("%s is open to other users; chmod 400 it, and replace what is in it if others had access", path)
	}
	if foreign(info) {
		return nil, fmt.Errorf("%s belongs to another user, who can read and replace it; chown it to the worker's user, and replace what is in it", path)
	}
	data, err := io.ReadAll(io.LimitReader(file, mostPrivate+1))
	if err == nil && len(data) > mostPrivate {
		return nil, fmt.Errorf("%s has more than %d KiB; leave only the keys of this worker in it", path, mostPrivate>>10)
	}
	return data, err
}
