package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestNoRoomForTheEncodedCopy(t *testing.T) {
	t.Parallel()
	for _, size := range []int{parallelFrom - 1, 8 << 20} {
		d := newDeployment(t)
		p := d.publisher(t)
		p.SpoolDir = filepath.Join(p.SpoolDir, "missing")
		_, err := p.Publish(t.Context(), File{Name: "a", ContentEncoding: Gzip, Expires: expires, Content: file(t, noise(size))})
		if !errors.Is(err, ErrSpool) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d bytes: got %v", size, err)
		}
		if asked, puts := d.counts(); asked != 0 || puts != 0 {
			t.Errorf("%d bytes: announced %d times, sent %d times", size, asked, puts)
		}
	}
}
