//go:build !unix

package artifact

import "os"

func createSpool(dir string) (*os.File, error) { return os.CreateTemp(dir, "artifact-*") }

// removeSpool also removes the name, which an open file keeps here.
func removeSpool(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}
