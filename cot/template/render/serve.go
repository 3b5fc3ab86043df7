package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	maxStack = 64 << 20
	maxOrder = 64 << 20
	// watchEvery is how often a child looks at its memory. Between two looks it
	// can fill some ten megabytes.
	watchEvery = 2 * time.Millisecond
)

// Serve is a child's side: it reads one job from in, renders it and writes the
// answer to out. It bounds the process it runs in, whole, and so must be the only
// thing this process does. When time or memory run out it calls exit, which is
// os.Exit, from another goroutine. An error means that there was no job to read
// or nobody to answer.
func Serve(in io.Reader, out io.Writer, exit func(code int)) error {
	var job order
	decoder := json.NewDecoder(io.LimitReader(in, maxOrder))
	if err := decoder.Decode(&job); err != nil {
		return fmt.Errorf("cannot read what to render: %w", err)
	}
	limits := job.Limits.withDefaults()
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(limits.Memory * 3 / 4) // a soft limit: collect garbage earlier
	if err := limitProcess(limits); err != nil {
		return err
	}
	defer watch(limits, exit)()

	var result answer
	rendered, err := evaluate(job.Job, limits)
	switch {
	case errors.Is(err, ErrTemplate):
		result.Template = strings.TrimPrefix(err.Error(), ErrTemplate.Error()+": ")
	case err != nil:
		result.Failure = err.Error()
	default:
		result.Result = rendered
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false) // it would make the result longer than its limit
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("cannot answer with what was rendered: %w", err)
	}
	return nil
}

// watch calls exit when time or memory run out, until the returned function is
// called. The runtime interrupts loops for it, whatever they do.
func watch(limits Limits, exit func(code int)) (stop func()) {
	timer := time.AfterFunc(limits.Time, func() { exit(exitTime) })
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if memoryUsed() > limits.Memory {
					exit(exitMemory)
					return
				}
			}
		}
	}()
	return func() {
		timer.Stop()
		close(done)
	}
}

// memoryUsed returns the bytes the Go runtime has from the system.
func memoryUsed() int64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
