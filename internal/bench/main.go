// Command bench measures a whole worker: the binary is started as an operator
// would start it and given work by an in-memory queue over real HTTP on
// loopback. Every row is the median of several runs, printed as JSON with the
// bar it has to pass.
//
// With -beside, another worker that understands the same configuration is
// given the same work in the same run, and the ratio of the two is printed:
// absolute figures move with the machine, ratios much less.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// result is one row of the report.
type result struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Better string    `json:"better"` // "lower" or "higher"
	Bar    float64   `json:"bar"`
	Median float64   `json:"median"`
	Values []float64 `json:"values"`
	Passed bool      `json:"passed"`
	Beside *float64  `json:"beside,omitempty"` // the other worker's median
	Ratio  *float64  `json:"ratio,omitempty"`  // ours divided by the other's
	Error  string    `json:"error,omitempty"`
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == callsMode {
		if err := calls(context.Background(), os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	runs := flag.Int("runs", 3, "runs per row; the median counts")
	only := flag.String("rows", ".", "regular expression of the rows to measure")
	beside := flag.String("beside", "", "directory of another generic-worker, its livelog and its taskcluster-proxy, measured in the same run")
	flag.Parse()
	if err := run(*runs, *only, *beside); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(runs int, only, beside string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("cannot read -rows: %w", err)
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours := filepath.Join(dir, "generic-worker")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", ours, "./cmd/generic-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("cannot build the worker: %w", err)
	}
	var results []result
	failed := false
	for _, row := range rows() {
		if !pattern.MatchString(row.name) {
			continue
		}
		r := measure(row, candidate{binary: ours, data: dir}, runs)
		if beside != "" && r.Error == "" {
			compare(&r, row, candidate{
				binary: filepath.Join(beside, "generic-worker"), data: dir,
				livelog: filepath.Join(beside, "livelog"), proxy: filepath.Join(beside, "taskcluster-proxy"),
			}, runs)
		}
		fmt.Fprintf(os.Stderr, "%-44s %10.2f %-8s (bar %.2f) %s\n", r.Name, r.Median, r.Unit, r.Bar, verdict(r))
		failed = failed || !r.Passed
		results = append(results, r)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(results); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("some rows do not pass their bar")
	}
	return nil
}

func verdict(r result) string {
	text := "ok"
	if !r.Passed {
		text = "NOT PASSED " + r.Error
	}
	if r.Ratio != nil {
		text += fmt.Sprintf(", %.2f × the other's %.2f", *r.Ratio, *r.Beside)
	}
	return text
}

// measure runs one row several times.
func measure(row row, c candidate, runs int) result {
	r := result{Name: row.name, Unit: row.unit, Better: "lower", Bar: row.bar}
	if row.higher {
		r.Better = "higher"
	}
	for range runs {
		value, err := once(row, c)
		if err != nil {
			r.Error = err.Error()
			return r
		}
		r.Values = append(r.Values, value)
	}
	r.Median = median(r.Values)
	r.Passed = r.Median <= r.Bar
	if row.higher {
		r.Passed = r.Median >= r.Bar
	}
	return r
}

// compare measures the other worker and notes the ratio.
func compare(r *result, row row, beside candidate, runs int) {
	other := measure(row, beside, runs)
	if other.Error != "" {
		fmt.Fprintf(os.Stderr, "%s: the other worker: %s\n", row.name, other.Error)
		return
	}
	ratio := r.Median / other.Median
	r.Beside, r.Ratio = &other.Median, &ratio
}

// rowLimit bounds one run of one row.
const rowLimit = 3 * time.Minute

func once(row row, c candidate) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), rowLimit)
	defer cancel()
	return row.measure(ctx, c)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
