package unpack_test

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/taskcluster/generic-worker/internal/unpack"
)

// sourceTree writes a tar archive that is like a toolchain or a checkout: many
// small texts, fewer objects, some large libraries. It is the same each time.
func sourceTree(w io.Writer, size int) error {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 4000)
	for i := range words {
		word := make([]byte, 2+r.IntN(9))
		for j := range word {
			word[j] = byte('a' + r.IntN(26))
		}
		words[i] = string(word)
	}
	text := func(n int) []byte {
		b := make([]byte, 0, n+16)
		for len(b) < n {
			b = append(append(b, words[int(r.ExpFloat64()*300)%len(words)]...), " \n"[r.IntN(9)/8])
		}
		return b[:n]
	}
	object := func(n int) []byte {
		b := make([]byte, 0, n+64)
		for len(b) < n {
			switch kind := r.IntN(7); {
			case kind < 3:
				b = append(b, make([]byte, 4+r.IntN(40))...)
			case kind < 5 && len(b) > 100:
				at := max(0, len(b)-1-r.IntN(30000))
				b = append(b, b[at:min(len(b), at+4+r.IntN(60))]...)
			default:
				for range 8 + r.IntN(50) {
					b = append(b, byte(r.Uint32()))
				}
			}
		}
		return b[:n]
	}
	out := tar.NewWriter(w)
	changed := time.Unix(1_700_000_000, 0)
	for n, total := 0, 0; total < size; n++ {
		dir := fmt.Sprintf("top/package%03d/part%02d/", n/240, n/12%20)
		if n%12 == 0 {
			if err := out.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: changed}); err != nil {
				return err
			}
		}
		var content []byte
		switch kind := r.IntN(100); {
		case kind < 75:
			content = text(200 + int(r.ExpFloat64()*9000))
		case kind < 98:
			content = object(1000 + int(r.ExpFloat64()*60000))
		default:
			content = object(1<<20 + int(r.ExpFloat64()*2e6))
		}
		header := &tar.Header{Name: fmt.Sprintf("%sfile_%d.c", dir, n), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), ModTime: changed}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(content); err != nil {
			return err
		}
		total += len(content)
	}
	return out.Close()
}

// BenchmarkArchive unpacks 410 MB from a file, and BenchmarkTar does the same
// with the tar program. GW_BENCH_MB makes it another size.
func BenchmarkArchive(b *testing.B) {
	for _, format := range []string{"tar", "tar.gz", "tar.zst"} {
		b.Run(format, func(b *testing.B) {
			name, size := benchArchive(b, format)
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				root, err := os.OpenRoot(freshDir(b))
				if err != nil {
					b.Fatal(err)
				}
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := unpack.Archive(b.Context(), format, f, root, unpack.Limits{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				f.Close()
				root.Close()
				b.StartTimer()
			}
		})
	}
}

func BenchmarkTar(b *testing.B) {
	for _, format := range []string{"tar", "tar.gz", "tar.zst"} {
		b.Run(format, func(b *testing.B) {
			name, size := benchArchive(b, format)
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				dir := freshDir(b)
				b.StartTimer()
				if out, err := exec.Command("tar", "-xf", name, "-C", dir).CombinedOutput(); err != nil {
					b.Skipf("needs tar with gzip and zstd: %v: %s", err, out)
				}
			}
		})
	}
}

// freshDir removes what the last round made, so that none has more of the disk
// than another.
func freshDir(b *testing.B) string {
	dir := filepath.Join(b.TempDir(), "out")
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}

func benchArchive(b *testing.B, format string) (string, int64) {
	megabytes := 410
	if set := os.Getenv("GW_BENCH_MB"); set != "" {
		if _, err := fmt.Sscan(set, &megabytes); err != nil {
			b.Fatal(err)
		}
	}
	name := filepath.Join(b.TempDir(), "source."+format)
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	var w io.WriteCloser = uncompressed{buffered}
	switch format {
	case "tar.gz":
		w, _ = gzip.NewWriterLevel(buffered, 6)
	case "tar.zst":
		w, err = zstd.NewWriter(buffered)
	}
	if err == nil {
		err = sourceTree(w, megabytes*1_000_000)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		b.Fatal(err)
	}
	return name, int64(megabytes) * 1_000_000
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }
