package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// With less and less room, an upload is whole or is refused.
func TestFullDiskNeverCutsAnUpload(t *testing.T) {
	t.Parallel()
	content := noise(6 << 20)
	refused := 0
	for mib := 1; mib <= 8; mib++ {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
			t.Skipf("a small file system cannot be mounted by this user: %v", err)
		}
		t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
		d := newDeployment(t)
		p := d.publisher(t)
		p.SpoolDir = dir
		rec, err := p.Publish(t.Context(), File{Name: "a", ContentEncoding: Gzip, Expires: expires, Content: file(t, content)})
		if err != nil {
			refused++
			if _, puts := d.counts(); !errors.Is(err, ErrSpool) || !errors.Is(err, syscall.ENOSPC) || puts != 0 {
				t.Errorf("%d MiB: got %v after %d uploads", mib, err, puts)
			}
		} else if !bytes.Equal(d.content(t, "a"), content) || rec.SHA256 != hexSum(content) {
			t.Errorf("%d MiB: stored something else, recorded %+v", mib, rec)
		}
	}
	if refused < 5 || refused > 7 {
		t.Errorf("%d of 8 were refused", refused)
	}
}
