package main

import (
	"fmt"
	"io"
	"os"

	"github.com/andybalholm/brotli"
	"github.com/dsnet/compress/bzip2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minlz"
	"github.com/pierrec/lz4/v4"
	"github.com/sorairolake/lzip-go"
	"github.com/ulikunitz/xz"
)

// squeeze is a program for stories: squeeze FILE compresses a file in each of
// the ten formats, to FILE.FORMAT.
func squeeze() {
	content, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	for format, writer := range squeezers {
		file, err := os.Create(os.Args[1] + "." + format)
		if err == nil {
			err = squeezeTo(file, writer, content)
		}
		if err != nil {
			panic(fmt.Errorf("%s: %w", format, err))
		}
	}
}

func squeezeTo(file *os.File, writer func(io.Writer) (io.WriteCloser, error), content []byte) error {
	w, err := writer(file)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}

var squeezers = map[string]func(io.Writer) (io.WriteCloser, error){
	"br":  func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil },
	"bz2": func(w io.Writer) (io.WriteCloser, error) { return bzip2.NewWriter(w, nil) },
	"gz":  func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"lz":  func(w io.Writer) (io.WriteCloser, error) { return lzip.NewWriter(w), nil },
	"lz4": func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
	"mz":  func(w io.Writer) (io.WriteCloser, error) { return minlz.NewWriter(w), nil },
	"sz": func(w io.Writer) (io.WriteCloser, error) {
		return s2.NewWriter(w, s2.WriterSnappyCompat()), nil
	},
	"xz":  func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"zst": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	"zz":  func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil },
}
