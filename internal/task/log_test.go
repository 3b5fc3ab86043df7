package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLog(t *testing.T) *Log {
	t.Helper()
	log, err := CreateLog(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func follow(t *testing.T, log *Log, offset int64) io.ReadCloser {
	t.Helper()
	reader, err := log.Follow(t.Context(), offset)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader
}

func readAll(t *testing.T, reader io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogFormat(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	reader := follow(t, log, 0)
	log.Info("Task ID: %s", "abc")
	log.Warn("one\ntwo")
	log.Error("wrong:\n  %d%%\n", 50)
	log.Info("")
	log.Info("a\n\nb\n\n")
	fmt.Fprint(log, "raw\x00\xff\r[31m no newline")
	log.Error("not a task's line")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log.Info("too late")

	want := `[taskcluster TIME] Task ID: abc
[taskcluster:warn TIME] one
[taskcluster:warn TIME] two
[taskcluster:error] wrong:
[taskcluster:error]   50%
[taskcluster TIME] 
[taskcluster TIME] a
[taskcluster TIME] 
[taskcluster TIME] b
` + "raw\x00\xff\r[31m no newline[taskcluster:error] not a task's line\n"
	got := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`).ReplaceAllString(readAll(t, reader), "TIME")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLogIsItsOwnersOnly(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	if info, err := os.Stat(log.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log has mode %v, %v", info.Mode(), err)
	}
	if _, err := CreateLog(filepath.Join(t.TempDir(), "missing", "log")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("CreateLog without a directory returned %v", err)
	}
}

func TestEveryReaderGetsEveryByte(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	var want bytes.Buffer
	var wait sync.WaitGroup
	results := make([]string, 20)
	for i := range results {
		reader := follow(t, log, int64(i))
		wait.Go(func() {
			var got strings.Builder
			if _, err := io.CopyBuffer(&got, struct{ io.Reader }{reader}, make([]byte, 1+i*i)); err != nil {
				t.Error(err)
			}
			results[i] = got.String()
		})
	}
	for i := range 2000 {
		part := fmt.Appendf(nil, "line %d %s\n", i, strings.Repeat("x", i%100))
		want.Write(part)
		if n, err := log.Write(part); n != len(part) || err != nil {
			t.Fatalf("Write returned %d, %v", n, err)
		}
	}
	if err := errors.Join(log.Close(), log.Close()); err != nil {
		t.Fatal(err)
	}
	wait.Wait()
	for i, got := range results {
		if got != want.String()[i:] {
			t.Errorf("reader %d got %d bytes of %d", i, len(got), want.Len()-i)
		}
	}
	if log.Size() != int64(want.Len()) {
		t.Errorf("Size is %d, want %d", log.Size(), want.Len())
	}
	if got := readAll(t, follow(t, log, 5)); got != want.String()[5:] {
		t.Errorf("a reader after the end got %d bytes", len(got))
	}
	if got := readAll(t, follow(t, log, 1<<40)); got != "" {
		t.Errorf("a reader behind the end got %d bytes", len(got))
	}
	if n, err := log.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write after Close returned %d, %v", n, err)
	}
}

func TestReadWaitsForMoreUnlessItsContextEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log, err := CreateLog(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		reader, err := log.Follow(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		var end error
		done := make(chan struct{})
		go func() {
			defer close(done)
			text, err := io.ReadAll(reader)
			got, end = string(text), err
		}()
		synctest.Wait()
		log.Write([]byte("first"))
		synctest.Wait()
		select {
		case <-done:
			t.Errorf("the reader did not wait: %q, %v", got, end)
		default:
		}
		cancel(enough)
		<-done
		if got != "first" || !errors.Is(end, enough) {
			t.Errorf("the reader got %q, %v", got, end)
		}
		if err := errors.Join(reader.Close(), reader.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestReadersOutliveTheFile(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	fmt.Fprint(log, "before ")
	reader := follow(t, log, 0)
	if err := os.Remove(log.path); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(log, "after")
	late := follow(t, log, 7)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, reader); got != "before after" {
		t.Errorf("a reader from before got %q", got)
	}
	if got := readAll(t, late); got != "after" {
		t.Errorf("a reader from after got %q", got)
	}
	reader.Close()
	late.Close()
	if _, err := log.Follow(t.Context(), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reader of nothing got %v", err)
	}
}

func TestLogThatCouldNotBeCreated(t *testing.T) {
	t.Parallel()
	log := &Log{closed: true}
	log.Info("text")
	if err := log.Close(); err != nil || log.Size() != 0 {
		t.Errorf("Close returned %v, Size is %d", err, log.Size())
	}
	if _, err := log.Follow(t.Context(), 0); err == nil {
		t.Error("a reader got an empty log")
	}
}

func TestCutFileIsNoShortLog(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	fmt.Fprint(log, "before ")
	reader := follow(t, log, 0)
	if err := os.Truncate(log.path, 3); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(reader)
	if string(got) != "bef" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reader got %q, %v", got, err)
	}
}
