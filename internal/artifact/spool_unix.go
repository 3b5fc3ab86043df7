//go:build unix

package artifact

import "os"

// createSpool opens a file without a name, so that nothing is left whenever the worker ends.
func createSpool(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "artifact-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func removeSpool(f *os.File) { f.Close() }
