package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// meddle changes a file under its path once a part of it was sent.
var meddlers = map[string]func(path string) error{
	"appended to": func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("more")
		return err
	},
	"cut":     func(path string) error { return os.Truncate(path, 1<<20) },
	"emptied": func(path string) error { return os.Truncate(path, 0) },
	"rewritten": func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("x"), 0)
		return err
	},
}

const meddledSize = 64 << 20 // more than the buffers of a connection hold

func TestPublishNeverCompletesAFileThatChanges(t *testing.T) {
	t.Parallel()
	for title, meddle := range meddlers {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			f := sparse(t, meddledSize)
			d := newDeployment(t)
			d.put = func(w http.ResponseWriter, r *http.Request, _ int) {
				io.CopyN(io.Discard, r.Body, 1)
				if err := meddle(f.Name()); err != nil {
					t.Error(err)
				}
				d.store(w, r)
			}
			p := d.publisher(t)
			_, err := p.Publish(t.Context(), File{Name: "a", ContentEncoding: Identity, Expires: expires, Content: f})
			if !errors.Is(err, ErrChanged) {
				t.Errorf("got %v", err)
			}
			if got, ok := d.stored["a"]; ok || len(p.Records()) != 0 {
				t.Errorf("stored %d bytes, recorded %v", got.length, p.Records())
			}
		})
	}
}

// A file that is renamed, replaced under its name or removed is still the file
// that was opened.
func TestPublishReadsTheFileThatWasOpened(t *testing.T) {
	t.Parallel()
	changes := map[string]func(path string) error{
		"renamed": func(path string) error { return os.Rename(path, path+"2") },
		"removed": os.Remove,
		"replaced": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, []byte("another"), 0o600)
		},
	}
	for title, change := range changes {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			content := noise(1 << 20)
			f := file(t, content)
			d := newDeployment(t)
			d.put = func(w http.ResponseWriter, r *http.Request, _ int) {
				if err := change(f.Name()); err != nil {
					t.Skipf("an open file cannot be %s here: %v", title, err)
				}
				d.store(w, r)
			}
			rec, err := d.publisher(t).Publish(t.Context(), File{Name: "a", ContentEncoding: Identity, Expires: expires, Content: f})
			if err != nil || rec.SHA256 != hexSum(content) || !bytes.Equal(d.content(t, "a"), content) {
				t.Errorf("got %+v, %v", rec, err)
			}
		})
	}
}

func TestPublishAnnouncesNothingOfAFileThatChangesWhileItIsCompressed(t *testing.T) {
	t.Parallel()
	for title, meddle := range meddlers {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			p := d.publisher(t)
			f := sparse(t, 4<<20)
			src, err := newSource(File{Content: f})
			if err != nil {
				t.Fatal(err)
			}
			changing := io.MultiReader(io.LimitReader(src.reader(), 0), &once{do: func() error { return meddle(f.Name()) }}, src.reader())
			if _, err := p.encode(t.Context(), changing, src.size()); !errors.Is(err, ErrChanged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// once is an empty reader that does something when it is reached.
type once struct{ do func() error }

func (o *once) Read([]byte) (int, error) {
	if err := o.do(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// What was hashed is what was stored, whatever a process does meanwhile.
func TestPublishedHashIsOfTheStoredBytes(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	p := d.publisher(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	stop := make(chan struct{})
	done := make(chan struct{})
	content := strings.Repeat("some content\n", 20_000)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { // appends, cuts and replaces
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			switch i % 3 {
			case 0:
				meddlers["appended to"](path)
			case 1:
				os.Truncate(path, int64(i%len(content)))
			case 2:
				os.WriteFile(path+".new", []byte(content), 0o600)
				os.Rename(path+".new", path)
			}
		}
	}()
	for i := range 200 {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint(i)
		encoding := []string{Gzip, Identity}[i%2]
		rec, err := p.Publish(t.Context(), File{Name: name, ContentEncoding: encoding, Expires: expires, Content: f})
		f.Close()
		if err != nil {
			if !errors.Is(err, ErrChanged) {
				t.Errorf("got %v", err)
			}
			continue
		}
		if got := d.content(t, name); hexSum(got) != rec.SHA256 || int64(len(got)) != rec.Bytes {
			t.Errorf("upload %d: recorded %+v, stored %d bytes", i, rec, len(got))
		}
	}
	close(stop)
	<-done
}

func TestPublishRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	_, err := d.publisher(t).Publish(t.Context(), File{Name: "a", Expires: expires, Content: open(t, t.TempDir())})
	if failure, ok := errors.AsType[*FileError](err); !ok || failure.Reason != Invalid {
		t.Errorf("got %v", err)
	}
}
