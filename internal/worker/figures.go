package worker

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/taskcluster/generic-worker/features"
	"github.com/taskcluster/generic-worker/process"
	"github.com/taskcluster/generic-worker/process/usage"
)

// goesFirst is where tasks stand when Linux looks for a process to kill.
const goesFirst = 500

// limit tells a command what it may use.
func (w *Worker) limit(command *process.Command) {
	command.Limits = w.Config.Limits
	if !w.Config.SpareTasks {
		command.OOMScore = goesFirst
	}
}

// watch has features watch a command, which abort ends. Their figures are known
// when it has run.
func (r *run) watch(i int, command *process.Command, abort func(error)) (figures func() []features.Figure) {
	watching := slices.DeleteFunc(slices.Clone(r.hooks), func(h attached) bool { return h.Watch == nil })
	found := make([][]features.Figure, len(watching))
	if len(watching) > 0 {
		command.Beside = func(ctx context.Context, running *process.Running) error {
			var all sync.WaitGroup
			for n, h := range watching {
				all.Go(func() {
					err := r.contain(func() (err error) {
						found[n], err = h.Watch(ctx, features.Watched{Index: i, Running: running})
						return err
					})
					if err != nil {
						abort(err)
					}
				})
			}
			all.Wait()
			return nil
		}
	}
	return func() []features.Figure { return slices.Concat(found...) }
}

// block writes the figures of an ended command, right-aligned.
func (r *run) block(result process.Result, more []features.Figure, hit *usage.Exceeded) {
	verdict := "SUCCEEDED"
	if result.ExitCode != 0 || hit != nil {
		verdict = "FAILED"
	}
	code := strconv.Itoa(result.ExitCode)
	if result.Signal != "" {
		code += " (" + result.Signal + ")"
	}
	rows := []features.Figure{
		{Label: "Exit Code", Value: code},
		{Label: "User Time", Value: result.User.Round(time.Microsecond).String()},
		{Label: "Kernel Time", Value: result.System.Round(time.Microsecond).String()},
		{Label: "Wall Time", Value: result.Wall.Round(time.Microsecond).String()},
	}
	const memory = "Peak Memory"
	if result.PeakMemory > 0 && !slices.ContainsFunc(more, func(f features.Figure) bool { return f.Label == memory }) {
		rows = append(rows, features.Figure{Label: memory, Value: usage.Bytes(result.PeakMemory)})
	}
	rows = append(rows, more...)
	rows = append(rows, features.Figure{Label: "Result", Value: verdict})
	r.Log.Info("%s", aligned(rows))
}

// aligned writes one figure to a line, so that the values begin in one column. It
// is the same for all commands, also for one without the longest usual label.
func aligned(rows []features.Figure) string {
	widest := len(" Average Available System Memory")
	for _, f := range rows {
		widest = max(widest, len(f.Label)+1)
	}
	lines := make([]string, len(rows))
	for i, f := range rows {
		lines[i] = strings.Repeat(" ", widest-len(f.Label)) + f.Label + ": " + f.Value
	}
	return strings.Join(lines, "\n")
}
