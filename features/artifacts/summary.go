package artifacts

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/taskcluster/generic-worker/internal/artifact"
)

const maxRows = 100 // of each table

// summary shows the author what was published and what was not.
func (p *publication) summary(items []*item, took time.Duration) {
	p.published(items, took)
	p.unpublished(items)
}

func (p *publication) published(items []*item, took time.Duration) {
	t := newTable("artifact\tbytes\tstored\tsha256\tseconds\tattempts\n")
	var bytes int64
	for _, i := range items {
		if i.record.Name != "" {
			bytes += i.record.Bytes
			t.row("%s\t%d\t%d\t%.12s\t%.2f\t%d\n",
				i.name, i.record.Bytes, i.record.Stored, i.record.SHA256, i.record.Elapsed.Seconds(), i.record.Attempts)
		}
	}
	if t.rows > 0 {
		p.run.Log.Info("Published %s, %s, in %.2f seconds:\n%s", count(t.rows, "artifact"), count(bytes, "byte"), took.Seconds(), t.end())
	}
}

// unpublished lists each thing that an entry includes and that is no artifact
// now, with the reason. Optional ones that are not there are no cause for a
// warning.
func (p *publication) unpublished(items []*item) {
	t := newTable("not published\treason\n")
	say := p.run.Log.Info
	for _, i := range items {
		if i.err == nil {
			continue
		}
		note := ""
		if i.from.Optional {
			note = " (optional)"
		}
		if !i.from.Optional || !missing(i.err) {
			say = p.run.Log.Warn
		}
		t.row("%s\t%s%s\n", artifact.Printable(i.path), reason(i.err), note)
	}
	for _, o := range p.omitted {
		say = p.run.Log.Warn
		t.row("%s\t%s\n", artifact.Printable(o.path), reason(o.why))
	}
	if t.rows > 0 {
		say("Not published, %d:\n%s", t.rows, t.end())
	}
}

// reason is an error without the path, which is in the line already.
func reason(err error) string {
	if failure, ok := errors.AsType[*artifact.FileError](err); ok {
		err = failure.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// table is a text with columns and a limit.
type table struct {
	text strings.Builder
	w    *tabwriter.Writer
	rows int
}

func newTable(head string) *table {
	t := &table{}
	t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	fmt.Fprint(t.w, head)
	return t
}

func (t *table) row(format string, args ...any) {
	if t.rows++; t.rows <= maxRows {
		fmt.Fprintf(t.w, format, args...)
	}
}

// end returns the text.
func (t *table) end() string {
	t.w.Flush()
	if t.rows > maxRows {
		fmt.Fprintf(&t.text, "... and %d more\n", t.rows-maxRows)
	}
	return t.text.String()
}

// count puts a number before a noun.
func count[N int | int64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprint(n, " ", noun)
}

// stamp writes a time as the queue does.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
