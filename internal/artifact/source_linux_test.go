package artifact

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

// Files of /proc say that they are empty and are not.
func TestPublishFilesWithoutASize(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Skip(err)
	}
	for _, encoding := range []string{Gzip, Identity} {
		d := newDeployment(t)
		rec, err := d.publisher(t).Publish(t.Context(), File{Name: "a", ContentEncoding: encoding, Expires: expires, Content: open(t, "/proc/version")})
		if err != nil || rec.Bytes != int64(len(want)) || !bytes.Equal(d.content(t, "a"), want) {
			t.Errorf("%s: got %+v, %v", encoding, rec, err)
		}
	}
	endless, err := os.Open("/proc/kallsyms")
	if err != nil {
		t.Skip(err)
	}
	defer endless.Close()
	d := newDeployment(t)
	_, err = d.publisher(t).Publish(t.Context(), File{Name: "a", Expires: expires, Content: endless})
	if failure, ok := errors.AsType[*FileError](err); !ok || failure.Reason != TooLarge {
		t.Errorf("got %v", err)
	}
}
