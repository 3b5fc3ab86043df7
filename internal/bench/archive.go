package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

// archive is a kind of archive to mount.
type archive struct {
	format string // as a payload calls it
	write  func(io.Writer) (io.WriteCloser, error)
}

func tarGz() archive {
	return archive{"tar.gz", func(w io.Writer) (io.WriteCloser, error) {
		return pgzip.NewWriterLevel(w, gzip.DefaultCompression)
	}}
}

func tarZst() archive {
	return archive{"tar.zst", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }}
}

const (
	treeBytes = 410 << 20 // of all files
	treeFiles = 4000
)

// path is the archive of a tree like that of a toolchain, made once for all rows.
func (a archive) path(dir string) (string, error) {
	path := filepath.Join(dir, "tree."+a.format)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	packed, err := a.write(file)
	if err != nil {
		return "", err
	}
	return path, errors.Join(writeTree(packed), packed.Close(), file.Close())
}

// writeTree writes a tar of files of very different sizes, which compress to
// about a half.
func writeTree(w io.Writer) error {
	random := rand.New(rand.NewChaCha8([32]byte{2}))
	out := tar.NewWriter(w)
	left := int64(treeBytes)
	for i := range treeFiles {
		size := min(left, int64(random.ExpFloat64()*treeBytes/treeFiles))
		if i == treeFiles-1 {
			size = left
		}
		left -= size
		name := fmt.Sprintf("tree/%02d/%02d/file-%d", i%40, i/40%10, i)
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(1_700_000_000, 0)}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if err := writeProgram(out, size, random); err != nil {
			return err
		}
	}
	return out.Close()
}

// writeProgram writes bytes as programs have them: noise between words that
// come again and again.
func writeProgram(w io.Writer, size int64, random *rand.Rand) error {
	const words = "func return package import string error context reader writer buffer length "
	block := make([]byte, 0, 64<<10)
	for size > 0 {
		block = block[:0]
		for len(block) < cap(block)-64 {
			from := random.IntN(len(words) - 24)
			block = append(block, words[from:from+4+random.IntN(20)]...)
			for range 5 + random.IntN(4) {
				block = append(block, byte(random.Uint32()))
			}
		}
		n := min(size, int64(len(block)))
		if _, err := w.Write(block[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// tarTakes is how long the program tar unpacks the archive.
func tarTakes(ctx context.Context, path string) (time.Duration, error) {
	into, err := os.MkdirTemp(filepath.Dir(path), "tar-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(into)
	begin := time.Now()
	if out, err := exec.CommandContext(ctx, "tar", "-xf", path, "-C", into).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("cannot unpack with tar: %w: %s", err, out)
	}
	return time.Since(begin), nil
}

// mounted is a task that mounts the archive, and how often. It gives the time
// of the last run over the time tar takes.
func mounted(a archive, times int) func(context.Context, candidate) (float64, error) {
	return func(ctx context.Context, c candidate) (float64, error) {
		path, err := a.path(c.data)
		if err != nil {
			return 0, err
		}
		alone, err := tarTakes(ctx, path)
		if err != nil {
			return 0, err
		}
		return on(1, func(ctx context.Context, s *site) (float64, error) {
			payload, done, err := mounting(path, a.format)
			if err != nil {
				return 0, err
			}
			defer done()
			var took time.Duration
			for range times {
				run, err := s.task(ctx, payload)
				if err != nil {
					return 0, err
				}
				took = run.Resolved.Sub(run.Started)
			}
			return took.Seconds() / alone.Seconds(), nil
		})(ctx, c)
	}
}

// mounting is the payload of a task that mounts a file of this machine by URL,
// which is served until done.
func mounting(path, format string) (payload map[string]any, done func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(filepath.Dir(path))), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	url := "http://" + listener.Addr().String() + "/" + filepath.Base(path)
	payload = with(shell("test -d mounted/tree/00"), "mounts", []map[string]any{
		{"directory": "mounted", "format": format, "content": map[string]string{"url": url}},
	})
	return payload, func() { _ = server.Close() }, nil
}

// nextClaimAfterMount is the time from the report of a task with a large mount
// to the next claim.
func nextClaimAfterMount(ctx context.Context, c candidate) (float64, error) {
	a := tarZst()
	path, err := a.path(c.data)
	if err != nil {
		return 0, err
	}
	return on(1, func(ctx context.Context, s *site) (float64, error) {
		payload, done, err := mounting(path, a.format)
		if err != nil {
			return 0, err
		}
		defer done()
		return s.gapBetween(ctx, payload, 5)
	})(ctx, c)
}
