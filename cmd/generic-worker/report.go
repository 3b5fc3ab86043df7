package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/taskcluster/generic-worker/cmd/generic-worker/trust"
	"github.com/taskcluster/generic-worker/internal/task"
)

// report is what a person or a program is told of a run that ended.
type report struct {
	TaskID     string        `json:"taskId"`
	RunID      int           `json:"runId"`
	Resolution string        `json:"resolution"`
	Reason     string        `json:"reason,omitempty"`
	Phases     []phase       `json:"phases"`
	Directory  string        `json:"directory"`
	Artifacts  []artifactRow `json:"artifacts"`
	// Certificate is nil for a task that did not ask for one.
	Certificate *trust.Certified `json:"certificate,omitempty"`
}

type phase struct {
	Name    string  `json:"name"`
	Part    bool    `json:"part,omitempty"` // of the last phase before it that is none
	Seconds float64 `json:"seconds"`
}

type artifactRow struct {
	Name        string `json:"name"`
	StorageType string `json:"storageType"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256,omitempty"`
	Path        string `json:"path,omitempty"`
}

// newReport tells of a run whose artifacts were saved in dir, at paths.
func newReport(s task.Summary, dir string, paths []string) report {
	r := report{TaskID: s.TaskID, RunID: s.RunID, Resolution: s.Resolution.String(), Directory: dir}
	for i, a := range s.Artifacts {
		r.Artifacts = append(r.Artifacts, artifactRow{Name: a.Name, StorageType: a.StorageType, Bytes: a.Bytes, SHA256: a.SHA256, Path: paths[i]})
	}
	if s.Err != nil {
		r.Reason = s.Err.Error()
	}
	for _, p := range s.Phases {
		r.Phases = append(r.Phases, phase{Name: p.Name, Part: p.Part, Seconds: p.Elapsed.Seconds()})
	}
	return r
}

// print writes the report as text.
func (r report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nTask %s, run %d: %s\n", r.TaskID, r.RunID, strings.ToUpper(r.Resolution))
	if r.Reason != "" {
		fmt.Fprintf(w, "%s\n", r.Reason)
	}
	fmt.Fprintln(w)
	for _, p := range r.Phases {
		if p.Part {
			continue // those are in the log
		}
		fmt.Fprintf(w, "  %s\t%v\n", p.Name, time.Duration(p.Seconds*float64(time.Second)).Round(10*time.Microsecond))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, a := range r.Artifacts {
		what := strconv.FormatInt(a.Bytes, 10) + " bytes"
		if a.Path == "" { // no data
			what = a.StorageType
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", a.Name, what, a.SHA256)
	}
	if len(r.Artifacts) > 0 {
		fmt.Fprintf(w, "\nartifacts are in %s\n", r.Directory)
	}
	if err := w.Flush(); err != nil || r.Certificate == nil {
		return err
	}
	return r.Certificate.Print(out)
}

// writeJSON prints a value for machines: indented, one newline at the end.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("cannot print the answer: %w", err)
	}
	return nil
}
