package unpack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/taskcluster/generic-worker/internal/unpack/tree"
)

// Limits are what an archive may need. A field that is zero has its default;
// a negative one is an error.
type Limits struct {
	Bytes   int64 // unpacked content of all entries together; default 20 GiB
	Entries int64 // default 1 000 000
	Depth   int   // parts of one path; default 128
	Ratio   int64 // bytes out for each byte in, looked at beyond the first 100 MiB; default 200
	Memory  int64 // bytes of one decoder's dictionary or window, and of names that are remembered; default 128 MiB
}

func (l Limits) filled() (Limits, error) {
	if l.Bytes < 0 || l.Entries < 0 || l.Depth < 0 || l.Ratio < 0 || l.Memory < 0 {
		return l, errors.New("cannot unpack within negative limits; use 0 for the default")
	}
	return Limits{
		Bytes:   cmp.Or(l.Bytes, 20<<30),
		Entries: cmp.Or(l.Entries, 1_000_000),
		Depth:   cmp.Or(l.Depth, 128),
		Ratio:   cmp.Or(l.Ratio, 200),
		Memory:  cmp.Or(l.Memory, 128<<20),
	}, nil
}

// Report tells what Archive made.
type Report struct {
	Entries int64    // entries of the archive, those left out included
	Bytes   int64    // content of files
	Skipped []string // what was left out or is not as in the archive, with the reason; the first 100
}

// note adds to what was left out.
func (r *Report) note(sentence string) {
	if len(r.Skipped) < 100 {
		r.Skipped = append(r.Skipped, sentence)
	}
}

// formats returns the archive formats that Archive reads, sorted.
func formats() []string {
	return []string{
		"7z", "rar", "tar", "tar.br", "tar.bz2", "tar.gz", "tar.lz", "tar.lz4", "tar.mz", "tar.sz", "tar.xz", "tar.zst",
		"tar.zz", "zip",
	}
}

// compressions returns the formats that Decompress reads, sorted.
func compressions() []string {
	return []string{"br", "bz2", "gz", "lz", "lz4", "mz", "sz", "xz", "zst", "zz"}
}

// Seekable tells whether archives of a format are read from a file, and not
// as a stream.
func Seekable(format string) bool { return format == "zip" || format == "7z" }

// Archive unpacks an archive into a directory, which it never leaves. Formats
// are 7z, rar, zip, tar, and "tar." with one of Decompress. Archives in a Seekable format come as an *os.File, others as
// any stream, which is then read to its end; a stream that waits has to end
// when ctx does. What was unpacked before an error stays there.
//
// Errors are *Error where the archive is to blame, the cause of ctx when that
// ended, and otherwise those of reading and writing as they are.
func Archive(ctx context.Context, format string, from io.Reader, into *os.Root, limits Limits) (Report, error) {
	var report Report
	if !slices.Contains(formats(), format) {
		return report, fmt.Errorf("cannot unpack format %q: it is none of %s", format, strings.Join(formats(), ", "))
	}
	limits, err := limits.filled()
	if err != nil {
		return report, err
	}
	in := &input{ctx: ctx, r: from}
	j := job{
		in: in, limits: limits, report: &report,
		content: &meter{in: in, limits: limits, stored: true},
		tree:    tree.New(into, tree.Limits{Depth: limits.Depth, Memory: limits.Memory}, report.note),
	}
	err = j.all(format)
	if finished := j.tree.Finish(err == nil); err == nil {
		err = about("", finished)
	}
	return report, explain(ctx, in, format, err)
}

// job is one call of Archive.
type job struct {
	in      *input
	limits  Limits
	report  *Report
	content *meter
	tree    *tree.Tree
}

func (j job) all(format string) error {
	from, err := open(j.in, format, j.limits)
	if err != nil {
		return err
	}
	defer from.close()
	for {
		e, r, err := from.next()
		if err == io.EOF {
			return nil
		}
		if err == nil && j.in.ctx.Err() != nil {
			err = context.Cause(j.in.ctx)
		}
		if err == nil {
			err = j.put(e, r)
		}
		j.report.Bytes = j.content.out
		if err != nil {
			return about(e.Name, err)
		}
	}
}

func (j job) put(e tree.Entry, r io.Reader) error {
	j.report.Entries++
	if j.report.Entries > j.limits.Entries {
		return refuse("it has more than %d entries, which is the limit", j.limits.Entries)
	}
	if e.Size > j.limits.Bytes-j.content.out {
		return j.content.add(e.Size) // before anything of it is written
	}
	if r != nil {
		r = metered{r, j.content}
	}
	return j.tree.Put(e, r)
}

// about makes what is wrong with an entry an error that names it.
func about(entry string, err error) error {
	if refused, ok := errors.AsType[*tree.Error](err); ok {
		return &Error{Entry: cmp.Or(refused.Entry, entry), Err: refused.Err}
	}
	found, ok := errors.AsType[*Error](err)
	if !ok || found.Entry != "" {
		return err
	}
	complete := *found
	complete.Entry = entry
	return &complete
}

// source reads the entries of an archive, in order.
type source interface {
	// next returns an entry and its content, which is there until next is
	// called again and nil where an entry has none. After the last it returns
	// io.EOF. Errors are *Error, or of reading the archive.
	next() (tree.Entry, io.Reader, error)
	// close ends all reading.
	close()
}

func open(in *input, format string, limits Limits) (source, error) {
	switch format {
	case "zip", "7z":
		file, ok := in.r.(*os.File)
		if !ok {
			return nil, fmt.Errorf("cannot unpack %s from a stream: it needs an *os.File", format)
		}
		info, err := file.Stat()
		if err != nil {
			return nil, err
		}
		in.at = file
		if _, err := in.ReadAt(in.remember(), 0); err != nil && err != io.EOF {
			return nil, err
		}
		if format == "zip" {
			return openZip(in, info.Size(), limits)
		}
		return open7z(in, info.Size(), limits)
	case "rar":
		return openRar(in, limits)
	case "tar":
		return openTar(readAhead(in), func() {}, false), nil
	default:
		unpacked := decompress(strings.TrimPrefix(format, "tar."), in, limits)
		tellsEnd := format != "tar.sz" && format != "tar.mz"
		return openTar(readAhead(unpacked), func() { unpacked.Close() }, tellsEnd), nil
	}
}
