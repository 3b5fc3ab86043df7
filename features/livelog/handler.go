package livelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	logPath = "/log/"
	// piece is how much of a log is sent at once, and the largest part of a
	// reader's memory.
	piece = 16 << 10
	// gather lets the output of a short while leave in one piece.
	gather = 20 * time.Millisecond
)

// Handler serves the live logs, under /log/<token>.
func (f *Feature) Handler() http.Handler {
	h := &handler{streams: f.streams, pieces: sync.Pool{New: func() any { return new([piece]byte) }}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+logPath+"{token}", h.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Range")
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if r.ContentLength != 0 {
			// The answer would wait for a body that may never come.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		}
		mux.ServeHTTP(w, r)
	})
}

type handler struct {
	streams *streams
	pieces  sync.Pool
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	one, over := h.streams.find(r.PathValue("token"))
	switch {
	case over:
		http.Error(w, "The task is over; its log is among its artifacts", http.StatusGone)
		return
	case one == nil:
		http.Error(w, "Access denied", http.StatusUnauthorized)
		return
	case !h.streams.enter():
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many readers", http.StatusServiceUnavailable)
		return
	}
	defer h.streams.leave()

	header := w.Header()
	header.Set("Accept-Ranges", "bytes")
	part, status := wanted(r, one)
	switch status {
	case http.StatusRequestedRangeNotSatisfiable:
		header.Set("Content-Range", fmt.Sprintf("bytes */%d", part.size))
		http.Error(w, "There is nothing at that position yet", status)
		return
	case http.StatusPartialContent:
		header.Set("Content-Range", part.contentRange())
	}
	if !part.follow {
		header.Set("Content-Length", strconv.FormatInt(part.end-part.begin, 10))
	}
	header.Set("Content-Type", contentType)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if err := h.send(r.Context(), w, one, part); err != nil {
		// A broken connection is the only way to say that this is not the end.
		panic(http.ErrAbortHandler)
	}
}

// send writes the wanted part of the log.
func (h *handler) send(ctx context.Context, w http.ResponseWriter, one *stream, part part) error {
	log, err := one.log.Follow(ctx, part.begin)
	if err != nil {
		return err
	}
	defer log.Close()
	var reader io.Reader = log
	if !part.follow {
		reader = io.LimitReader(log, part.end-part.begin)
	}
	out := http.NewResponseController(w)
	buffer := h.pieces.Get().(*[piece]byte)
	defer h.pieces.Put(buffer)
	for {
		// Before the first byte this sends the headers.
		if err := errors.Join(out.SetWriteDeadline(one.deadline()), out.Flush()); err != nil {
			return err
		}
		n, err := reader.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := h.rest(ctx, one, n); err != nil {
			return err
		}
	}
}

// rest leaves the processor to the task while its log grows.
func (h *handler) rest(ctx context.Context, one *stream, n int) error {
	if one.complete.Load() {
		return nil
	}
	pause := h.streams.pace.reserve(time.Now(), n)
	if n < piece {
		pause = max(pause, gather)
	}
	if pause < time.Millisecond {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
